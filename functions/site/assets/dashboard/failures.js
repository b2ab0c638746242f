// The causes of failures: the newest failed orders, grouped by their failure.

import { go } from "./address.js";
import { explained, get } from "./api.js";
import { $, fill, keep, make, say } from "./dom.js";
import { count, plural } from "./format.js";

const LATEST = 200;
// The longest text of the filter by cause.
const MOST_TEXT = 256;
const EVERY_MS = 30_000;
// In an incident the number changes all the time.
const SOONEST_MS = 10_000;

let seen = null;
// By a clock that nobody sets. Infinity while a call is on its way.
let readAt = -Infinity;
let session = new AbortController();

/** Forgets the last result, so that the next refresh reads again. */
export function reset() {
  session.abort();
  session = new AbortController();
  [seen, readAt] = [null, -Infinity];
  keep($("causes"), [], String);
  say($("causes-hint"), "");
}

/**
 * Reads again after 10 s if the number of failed orders has changed or a call failed, and otherwise after 30 s. Says why a call failed.
 * Nothing waits for it, so that a call that hangs delays nothing else.
 */
export async function refresh(failed) {
  if (performance.now() < readAt + (failed === seen ? EVERY_MS : SOONEST_MS)) return;
  readAt = Infinity;
  const { signal } = session;
  try {
    const { orders, next_cursor: more } = await get(`orders?status=failed&limit=${LATEST}`, signal);
    [seen, readAt] = [failed, performance.now()];
    draw(orders, more);
  } catch (problem) {
    if (signal.aborted) return;
    [seen, readAt] = [null, performance.now() + (problem.retryAfter ?? 0) * 1000];
    say($("causes-hint"), `The newest causes could not be read. ${explained(problem)}`);
  }
}

function draw(orders, more) {
  const causes = grouped(orders);
  const list = (cause) => go({ status: "failed", cause: cause.slice(0, MOST_TEXT) });
  const link = (cause) => make("button", { type: "button", class: "id cause", title: "List these orders", onclick: () => list(cause) }, cause);
  const create = ([cause]) =>
    make("li", {}, link(cause), make("span", { class: "figure" }), make("i", { class: "bar", "aria-hidden": "true" }));
  keep($("causes"), causes, ([cause]) => cause, create, (item, [, number]) => {
    say(item.children[1], count(number));
    fill(item.lastChild, number / causes[0][1]);
  });
  const hint = more ? `Of the ${plural(orders.length, "newest order", "newest orders")} that failed.` : `Of ${plural(orders.length, "failed order", "failed orders")}.`;
  const none = more ? "None of the newest orders has failed." : "No order has failed.";
  say($("causes-hint"), orders.length ? hint : none);
}

function grouped(orders) {
  const numbers = new Map();
  for (const { failure } of orders) numbers.set(failure, (numbers.get(failure) ?? 0) + 1);
  return [...numbers].sort((one, other) => other[1] - one[1]);
}
