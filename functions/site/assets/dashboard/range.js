// The range of the statistics: an hour, a day or a week. The address holds it. The statistics by the hour change slowly, so that they are
// read less often than the rest.

import { go, state } from "./address.js";
import { $ } from "./dom.js";
import { RANGES } from "./throughput.js";

const EVERY_MS = 30_000;

let read = null;
// By a clock that nobody sets.
let next = 0;

/** The range of the address. */
export const range = () => (Object.hasOwn(RANGES, state().range) ? state().range : "hour");

/** Forgets the statistics. */
export function reset() {
  [read, next] = [null, 0];
}

/** The path of the metrics; with the statistics by the hour if they are due. */
export function path() {
  const isDue = range() !== "hour" && (read?.hours !== RANGES[range()].steps || performance.now() >= next);
  return isDue ? `metrics?hours=${RANGES[range()].steps}` : "metrics";
}

/** Takes over the statistics of an answer that has them. Returns those of the range, or null before they are read. */
export function byHour(metrics) {
  if (metrics.by_hour) [read, next] = [metrics.by_hour, performance.now() + EVERY_MS];
  return read?.hours === RANGES[range()].steps ? read : null;
}

/** Shows the range in its buttons. */
export function draw() {
  for (const button of $("range").children) button.setAttribute("aria-pressed", String(button.value === range()));
}

$("range").addEventListener("click", ({ target }) => target.value && go({ range: target.value === "hour" ? "" : target.value }));
