// The state of the connection to the service: live, paused, stale or none. A screen reader gets changes only.

import { now } from "./clock.js";
import { $, say, show } from "./dom.js";
import { ago, second } from "./format.js";
import { canChange } from "./order.js";

const STALE_AFTER_SECONDS = 10;
const WORDS = {
  starting: "Starting",
  "signed-out": "Signed out",
  loading: "Loading",
  live: "Live",
  paused: "Paused while hidden",
  stale: "Stale",
  error: "No answer",
};

// Whether a call was answered since the sign-in, and when all calls of a poll last succeeded.
let isHeard = false;
let answered = null;
let next = null;
let state = "starting";
let beforePause = state;

/** Handles a report of the poll. */
export function handle({ ok, problem, wait, paused }) {
  if (ok) {
    [answered, next] = [now(), null];
    enter("live");
  } else if (paused) enter("paused");
  else if (paused === false) enter(state === "paused" ? beforePause : state);
  else {
    next = now() + wait * 1000;
    complain(problem);
  }
  tick();
}

/** Notes that a call was answered, if only by a refusal: then the page has something to show or to offer. */
export function hear() {
  isHeard = true;
  if (state === "error") enter("stale");
}

/** Resets the state to `signed-out` or `loading`. */
export function reset(to) {
  [isHeard, answered, next] = [false, null, null];
  enter(to);
  tick();
}

function complain(problem) {
  enter(isHeard ? "stale" : "error");
  say($("trouble-title"), `${problem.title ?? "This page has a fault"}.`);
  const since = answered ? ` The page shows the state of ${second(answered)}.` : "";
  const detail = `${problem.message}${since}`;
  // Each try is another request. A screen reader would read the same trouble again.
  if (!$("trouble-detail").textContent.startsWith(detail)) {
    say($("trouble-detail"), problem.request ? `${detail} Request ${problem.request}.` : detail);
  }
  show($("trouble"), true);
  // The dialog covers the page, and everything behind it is out of reach.
  say($("order-stale"), canChange() ? "The service does not answer as it should. This order may have changed." : "");
}

function enter(to) {
  if (to === "paused" && state !== to) beforePause = state;
  state = to;
  document.querySelector("[data-link]").dataset.link = to;
  document.body.dataset.view = to;
  say($("link"), to === "stale" && answered === null ? "Incomplete" : WORDS[to]);
  // A page that is hidden keeps what it shows.
  if (to === "paused") return;
  if (to !== "stale" && to !== "error") {
    show($("trouble"), false);
    say($("order-stale"), "");
  }
  $("board").setAttribute("aria-busy", String(to === "loading"));
  show($("board"), to !== "signed-out" && to !== "error" && to !== "starting");
  show($("sign-in"), to === "signed-out");
}

/** Updates the ages every second. */
function tick() {
  const age = answered === null ? 0 : (now() - answered) / 1000;
  // A hanging call makes the metrics stale too.
  if (state === "live" && age > STALE_AFTER_SECONDS) enter("stale");
  const left = next === null ? 0 : Math.ceil((next - now()) / 1000);
  const parts = [answered !== null && `updated ${ago(answered)}`, left > 0 && `next try in ${left} s`];
  say($("updated"), parts.filter(Boolean).join(", "));
}

setInterval(tick, 1000);
