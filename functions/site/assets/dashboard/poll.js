// Asks again and again, gently: not while the page is hidden, and ever less often while there is no answer.

const MOST_SECONDS = 60;

export class Poll {
  #task;
  #every;
  #tell;
  #timer = 0;
  #controller = null;
  #failures = 0;
  #isOn = false;

  /** `task(signal)` is run every so many seconds; `tell` hears `{ok}`, `{problem, wait}` or `{paused}`. */
  constructor(task, every, tell) {
    [this.#task, this.#every, this.#tell] = [task, every, tell];
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

  /** Asks at once, in place of what is under way. */
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
    if (document.hidden) this.#tell({ paused: true });
    this.now();
  }

  async #run() {
    const controller = new AbortController();
    this.#controller = controller;
    try {
      await this.#task(controller.signal);
      if (controller.signal.aborted) return;
      this.#failures = 0;
      this.#tell({ ok: true });
      this.#again(this.#every);
    } catch (problem) {
      if (controller.signal.aborted || !this.#isOn) return;
      const wait = this.#backOff(problem.retryAfter ?? 0);
      this.#tell({ problem, wait });
      this.#again(wait);
    }
  }

  #again(seconds) {
    // Who was told may have stopped it.
    if (!this.#isOn) return;
    this.#timer = setTimeout(() => this.#run(), seconds * 1000);
  }

  /** Twice as long after each failure, give or take a fifth, so that many pages do not come back at once. */
  #backOff(atLeast) {
    this.#failures += 1;
    const doubled = Math.min(MOST_SECONDS, this.#every * 2 ** this.#failures);
    return Math.max(atLeast, doubled * (0.8 + 0.4 * Math.random()));
  }
}
