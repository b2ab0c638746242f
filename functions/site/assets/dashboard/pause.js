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

/** Draws the pause; null while processing runs. */
export function draw(pause) {
  show($("halted"), Boolean(pause));
  show($("pause"), isAdmin() && !pause);
  show($("resume"), isAdmin());
  // A screen reader misses what comes into a hidden element, and would read the age each time.
  say($("halted-said"), pause ? `Processing is paused: ${pause.reason}` : "");
  if (!pause) return;
  const since = new Date(pause.since);
  say($("halted-who"), `${pause.by} paused it ${ago(since)}, at ${second(since)} on ${date(since)}. New orders are accepted and wait.`);
  say($("halted-why"), pause.reason);
}

function change(word, { title, body, yes, said, isDangerous }) {
  ask({
    title,
    isDangerous,
    needsReason: true,
    prepare: async () => ({ body: make("p", {}, body), yes }),
    act: async (reason) => {
      await post(`processing/${word}`, { reason }).finally(changed);
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
