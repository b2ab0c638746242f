// Retrying and cancelling many orders: the service counts first, and the page asks with that count.

import { ask } from "./ask.js";
import { post, servedAt } from "./api.js";
import { $, make, say, show } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { filters } from "./orders.js";
import * as selection from "./selection.js";
import { isAdmin } from "./session.js";

// The most orders of one call.
const MOST = 1000;
const CAUSES = 5;
const KINDS = {
  failed: { path: "orders/retry", before: "failed_before", verb: "Retry", done: "retried", said: "pending again", pace: 10, paced: "They fall due at 10 a second." },
  pending: { path: "orders/cancel", before: "created_before", verb: "Cancel", done: "cancelled", said: "cancelled", pace: 100, paced: "This can't be undone.", isDangerous: true },
};
const number = (value, status = "") => plural(value, `${status} order`, `${status} orders`).replace("  ", " ");

let changed = () => {};

/** Sets the listener for changes of orders. */
export function onChange(listener) {
  changed = listener;
}

/** Offers to act on every order that the filters select, if their status allows it. */
export function offer() {
  const { status } = filters();
  const isOffered = isAdmin() && Object.hasOwn(KINDS, status);
  show($("all-matching"), isOffered);
  if (isOffered) say($("all-matching"), `${KINDS[status].verb} all that match …`);
}

/** Asks whether to act on the orders of one status that a filter selects. */
function start(status, filter, selected) {
  const kind = KINDS[status];
  let counted = filter;
  let matched = 0;
  ask({
    title: selected ? `${kind.verb} the selected orders?` : `${kind.verb} all orders that match?`,
    waiting: "Counting the orders …",
    isDangerous: kind.isDangerous,
    prepare: async () => {
      const report = await post(kind.path, { ...filter, dry_run: true });
      matched = report.matched;
      counted = until(kind.before, filter);
      return matched ? { body: question(kind, status, report, selected), yes: `${kind.verb} ${number(matched)}` } : none(status, selected);
    },
    act: async (_, dialog) => {
      // Lets the browser ask before the page is left.
      const stay = (event) => dialog.isOpen() && event.preventDefault();
      addEventListener("beforeunload", stay);
      const done = await run(kind, counted, matched, dialog).finally(() => removeEventListener("beforeunload", stay)).finally(changed);
      // After the question was closed, the operator may have selected others.
      if (dialog.isOpen()) selection.clear();
      return result(kind, done, matched);
    },
  });
}

const result = (kind, done, matched) => `${number(done)}${done < matched ? ` of ${count(matched)}` : ""} ${done === 1 ? "is" : "are"} ${kind.said}.`;

function question(kind, status, { matched, causes }, selected) {
  const of = selected && selected !== matched ? ` of the ${count(selected)} selected` : "";
  const list = (causes ?? []).slice(0, CAUSES).map(({ failure, orders }) => make("li", {}, make("span", {}, failure), make("span", { class: "figure" }, count(orders))));
  return [
    make("p", {}, `${number(matched, status)}${of} will be ${kind.said}. ${kind.paced}${matched > MOST ? long(matched / kind.pace) : ""}`),
    ...(list.length ? [make("ul", { class: "counted", "aria-label": "Causes of their failures" }, list)] : []),
  ];
}

const long = (seconds) => ` That takes ${duration(seconds)}. Closing this question or the page stops it.`;

function none(status, selected) {
  const which = selected ? "None of the selected orders is" : "No order that matches the filters is";
  return { body: make("p", {}, `${which} ${status} any more.`), yes: null };
}

/** Restricts a filter to the orders of the count that was just answered: later ones, also those that fail once more, do not match. */
function until(before, filter) {
  // The header leaves out the fraction of the second.
  const counted = Date.parse(servedAt) + 1000;
  return Date.parse(filter[before]) <= counted ? filter : { ...filter, [before]: new Date(counted).toISOString() };
}

/** Calls until as many orders as the dry run counted are done, a call does none, or the dialog is closed. Returns their number. */
async function run(kind, filter, matched, dialog) {
  const { path, done: member, pace } = kind;
  let done = 0;
  while (done < matched && dialog.isOpen()) {
    const limit = Math.min(MOST, matched - done);
    const begun = performance.now();
    const report = await post(path, { ...filter, dry_run: false, limit, per_second: pace }).catch((problem) => {
      if (done) problem.message += ` Before that: ${result(kind, done, matched)}`;
      throw problem;
    });
    if (!report[member]) break;
    done += report[member];
    dialog.progress(`${count(done)} of ${count(matched)} …`);
    // The service keeps the pace only within a call.
    if (done < matched) await passed(begun + (report[member] / pace) * 1000);
  }
  return done;
}

// By a clock that nobody sets.
const passed = (time) => new Promise((resolve) => setTimeout(resolve, time - performance.now()));

function startWithSelected(status) {
  const ids = selection.idsOf(status);
  start(status, { order_ids: ids }, ids.length);
}

$("retry-selected").addEventListener("click", () => startWithSelected("failed"));
$("cancel-selected").addEventListener("click", () => startWithSelected("pending"));
$("all-matching").addEventListener("click", () => {
  const { status, cursor: _, ...filter } = filters();
  start(status, filter, 0);
});
