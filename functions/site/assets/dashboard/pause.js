// The pause of processing: who paused it and why, and the questions that pause and resume it.

import { ask } from "./ask.js";
import { post } from "./api.js";
import { $, make, say, show } from "./dom.js";
import { ago, date, second } from "./format.js";
import { isAdmin } from "./session.js";

let changed = () => {};

/** Sets the listener for a pause and its end. */
export function onChange(listener) {
  changed = listener;
}

/** Draws the pause; null while processing runs, and undefined while that is not known. */
export function draw(pause) {
  show($("halted"), pause !== null);
  show($("pause"), isAdmin() && !pause);
  show($("resume"), isAdmin());
  say($("halted-title"), pause ? "Processing is paused" : "It is not known whether processing is paused");
  // A screen reader misses what comes into a hidden element, and would read the age each time.
  say($("halted-said"), pause ? `Processing is paused: ${pause.reason}` : "");
  say($("halted-who"), pause ? who(pause) : "");
  say($("halted-why"), pause ? pause.reason : "");
}

function who({ by, since: text }) {
  const since = new Date(text);
  return `${by} paused it ${ago(since)}, at ${second(since)} on ${date(since)}. New orders are accepted and wait.`;
}

function change(word, { title, body, yes, said, isDangerous }) {
  ask({
    title,
    isDangerous,
    needsReason: true,
    next: word === "pause" ? "resume" : "pause",
    prepare: async () => ({ body: make("p", {}, body), yes }),
    act: async (reason) => {
      const { pause } = await post(`processing/${word}`, { reason }).finally(changed);
      draw(pause);
      return said;
    },
  });
}

$("pause").addEventListener("click", () =>
  change("pause", {
    title: "Pause processing?",
    body: "No further order starts until somebody resumes processing. Orders in work go on to their end.",
    yes: "Pause processing",
    said: "Processing is paused.",
    isDangerous: true,
  }),
);
$("resume").addEventListener("click", () =>
  change("resume", {
    title: "Resume processing?",
    body: "The first of the orders that wait start within a minute.",
    yes: "Resume processing",
    said: "Processing is resumed.",
  }),
);
