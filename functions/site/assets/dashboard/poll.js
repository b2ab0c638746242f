// Runs a task at intervals: not while the page is hidden, and less often after each failure.

const MOST_SECONDS = 60;
// A longer `Retry-After` is shortened to this. A timer overflows after 24 days, and then fires at once.
const LONGEST_SECONDS = 3600;

export class Poll {
  #task;
  #every;
  #report;
  #timer = 0;
  #controller = null;
  #failures = 0;
  #isOn = false;

  /** Runs `task(signal)` every `every` seconds. Calls `report` with `{ok}`, `{problem, wait}` or `{paused}`, a boolean. */
  constructor(task, every, report) {
    [this.#task, this.#every, this.#report] = [task, every, report];
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  start() {
    this.#isOn = true;
    this.#failures = 0;
    this.now();
  }

  stop() {
    this.#isOn = false;
    this.#halt();
  }

  /** Runs the task now, instead of the current run. */
  now() {
    this.#halt();
    if (this.#isOn && !document.hidden) this.#run();
  }

  #halt() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
  }

  #visibility() {
    if (!this.#isOn) return;
    this.#report({ paused: document.hidden });
    this.now();
  }

  async #run() {
    // After a failure the other calls of the task go on. Their answers would come later than those of this run.
    this.#controller?.abort();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      await this.#task(controller.signal);
      if (controller.signal.aborted) return;
      this.#failures = 0;
      this.#report({ ok: true });
      this.#again(this.#every);
    } catch (problem) {
      if (controller.signal.aborted || !this.#isOn) return;
      const wait = this.#backOff(problem.retryAfter ?? 0);
      this.#report({ problem, wait });
      this.#again(wait);
    }
  }

  #again(seconds) {
    // The callee of `report` may have stopped the poll.
    if (!this.#isOn) return;
    this.#timer = setTimeout(() => this.#run(), seconds * 1000);
  }

  /** Doubles the wait after each failure, give or take a fifth, so that many pages do not retry at once. */
  #backOff(atLeast) {
    this.#failures += 1;
    const doubled = Math.min(MOST_SECONDS, this.#every * 2 ** this.#failures);
    return Math.min(LONGEST_SECONDS, Math.max(atLeast, doubled * (0.8 + 0.4 * Math.random())));
  }
}
