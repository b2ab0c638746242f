// The changes of an order in words: what happened, after how long, why, and who did it.

import { between, capital } from "./format.js";

// The colours of changes that do not have the name of a status.
const KINDS = { attempt_failed: "pending", requeue_failed: "pending", started: "processing" };

/** The moments of the timeline, from the history of the API. */
export function momentsOf({ changes, truncated }) {
  const moments = changes.map((change, at) => moment(change, changes[at - 1]));
  if (truncated) moments.push({ word: "Not all", who: "This order has so many changes that some are not recorded." });
  return moments;
}

function moment({ at, change, attempt, cause, by, subject, client }, before) {
  const isNumbered = change === "attempt_failed" && attempt;
  const isEnd = change === "failed" || change === "completed";
  return {
    word: isNumbered ? `Attempt ${attempt} failed` : capital(change.replaceAll("_", " ")),
    kind: KINDS[change] ?? change,
    time: at,
    after: before && between(before.at, at),
    more: cause,
    who: author(by, subject, client, change) ?? (isEnd && attempt > 1 ? `after ${attempt} attempts` : null),
  };
}

function author(by, subject, client, change) {
  if (by === "sweeper") return "by the sweeper, because its message was lost";
  if (by !== "caller" || change === "created") return null;
  if (!subject) return null;
  return client ? `by ${subject}, with ${client}` : `by ${subject}`;
}
