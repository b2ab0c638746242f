// The page of one order, a dialog: its content, its history and its actions. The address names the order.

import { go } from "./address.js";
import { explained, get, orderPath, post } from "./api.js";
import { announce } from "./ask.js";
import { now } from "./clock.js";
import { $, make, onBackdrop, say } from "./dom.js";
import { count, money, moment, plural } from "./format.js";
import { momentsOf } from "./history.js";
import { pill } from "./orders.js";
import { isAdmin, writes } from "./session.js";
import { timeline } from "./timeline.js";

const dialog = $("order");
const ITEMS = 12;
const ACTIONS = {
  cancel: { word: "Cancel the order", sure: "Yes, cancel it", said: "The order is cancelled.", refused: "Cancelling needs a token with orders/write.all or orders/admin." },
  retry: { word: "Retry the order", said: "The order was retried.", refused: "Retrying needs a token with orders/admin." },
};

let id = null;
let order = null;
let moments = [];
let drawn = "";
// The status that the order had after the last action; null until it is read.
let saidOf = null;
let changed = () => {};

/** Sets the listener for changes of an order. */
export function onChange(listener) {
  changed = listener;
}

/** Opens the dialog with an order, or closes it for none. */
export function open(which) {
  if (!which) return close();
  if (which === id && dialog.open) return;
  [id, order, moments, drawn] = [which, null, [], ""];
  say($("order-title"), which);
  for (const text of ["order-said", "order-stale"]) say($(text), "");
  $("order-body").replaceChildren(make("p", { class: "empty" }, "Loading the order …"));
  if (!dialog.open) dialog.showModal();
  // A failure may come after another order, or after the order itself.
  refresh().catch((problem) => which === id && !order && explain(problem));
}

export function close() {
  dialog.close();
}

/** Closes the dialog at the end of the session. The address keeps the order for the next one. */
export function leave() {
  id = null;
  dialog.close();
}

/** Whether the dialog has an order that can change, so that it is read again. */
export const canChange = () => dialog.open && id !== null && !(order?.finished_at && !order.next.length);

/** Reads the order in the dialog again, while it can change. */
export async function refresh(signal) {
  if (!canChange()) return;
  const requested = id;
  try {
    const read = await get(orderPath(requested), signal);
    const isSame = JSON.stringify(read) === drawn;
    const history = isSame ? null : await get(orderPath(requested, "history"), signal);
    if (requested !== id) return;
    if (history) moments = momentsOf(history);
    draw(read);
  } catch (problem) {
    // A missing order is an answer, not an error of the page.
    if (problem.status !== 404 && problem.status !== 422) throw problem;
    if (requested === id) explain(problem);
  }
}

function draw(read) {
  order = read;
  // What was said of the action is no longer true.
  if (order.status !== (saidOf ??= order.status)) say($("order-said"), "");
  const isActive = !order.finished_at;
  // Redrawn only if it changed, which keeps the focus and a screen reader quiet. The timeline of an active order grows.
  const state = JSON.stringify(order);
  if (state === drawn && !isActive) return;
  if (state === drawn) {
    $("order-body").querySelector(".stretches").replaceWith(timeline(order, []).firstChild);
    return;
  }
  drawn = state;
  $("order-body").replaceChildren(head(), timeline(order, moments), facts(), ...metadata(), actions());
}

function head() {
  const state = make("span");
  pill(state, order.status);
  const waits = order.status === "pending" && new Date(order.process_after ?? 0) > now();
  return make("p", { class: "state" }, state, waits ? make("span", { class: "scheduled" }, `scheduled for ${moment(order.process_after)}`) : null);
}

function facts() {
  const items = order.item_ids.slice(0, ITEMS).join(", ");
  const rest = order.item_ids.length - ITEMS;
  const user = make("button", { type: "button", class: "id", title: "List this user's orders", onclick: listUser }, order.user_id);
  return pairs("facts", [
    ["User", user],
    ["Amount", money(order)],
    [plural(order.item_ids.length, "item", "items"), rest > 0 ? `${items} and ${count(rest)} more` : items],
    ["Attempts", count(order.attempts)],
    order.process_after && ["Process after", moment(order.process_after)],
  ]);
}

/** Closes the dialog, and lists the user's orders. The row that had the focus may leave the list. */
function listUser() {
  go({ user: order.user_id, order: "" });
  $("orders").focus();
}

function metadata() {
  const entries = Object.entries(order.metadata ?? {});
  if (!entries.length) return [];
  return [make("section", { "aria-labelledby": "metadata-title" }, make("h3", { id: "metadata-title" }, "Metadata"), pairs("facts metadata", entries))];
}

function pairs(name, entries) {
  const pair = ([word, value]) => make("div", {}, make("dt", {}, word), make("dd", {}, value));
  return make("dl", { class: name }, entries.filter(Boolean).map(pair));
}

function actions() {
  const known = order.next.filter((name) => name in ACTIONS);
  const isAllowed = (name) => (name === "retry" ? isAdmin() : writes(order.user_id));
  const refused = known.filter((name) => !isAllowed(name)).map((name) => make("p", { class: "hint" }, ACTIONS[name].refused));
  return make("div", { class: "actions" }, known.filter(isAllowed).map(button), refused);
}

function button(name) {
  const { word, sure } = ACTIONS[name];
  const ask = sure ? (event) => confirm(event.target, name) : () => act(name);
  return make("button", { type: "button", class: name === "retry" ? "primary" : "danger", onclick: ask }, word);
}

/** Asks for confirmation: a cancel can't be undone. */
function confirm(pressed, name) {
  const yes = make("button", { type: "button", class: "danger", onclick: () => act(name) }, ACTIONS[name].sure);
  const back = () => {
    const offered = actions();
    yes.parentElement.replaceWith(offered);
    offered.querySelector("button").focus();
  };
  const no = make("button", { type: "button", class: "quiet", onclick: back }, "No");
  pressed.parentElement.replaceChildren(yes, no);
  yes.focus();
}

async function act(name) {
  const acted = id;
  say($("order-said"), "");
  // A second click would be refused, and its refusal would replace the result of the first.
  const buttons = [...$("order-body").querySelectorAll(".actions button")];
  buttons.forEach((button) => (button.disabled = true));
  const said = await post(orderPath(acted, name)).then(() => ACTIONS[name].said, explained);
  buttons.forEach((button) => (button.disabled = false));
  if (acted === id) {
    say($("order-said"), said);
    saidOf = null;
    $("order-close").focus();
    // Draws also an unchanged order anew, with its first buttons.
    drawn = "";
  } else announce(`${acted}: ${said}`);
  changed();
}

function explain(problem) {
  const text = problem.status === 404 ? "There is no order with this id, or it belongs to another user." : explained(problem);
  drawn = "";
  $("order-body").replaceChildren(make("p", { class: "empty" }, text));
}

$("order-close").addEventListener("click", close);
onBackdrop(dialog, close);
// The event comes after the closing, and by then another order may be open.
dialog.addEventListener("close", () => {
  if (dialog.open) return;
  if (id !== null) go({ order: "" });
  [id, order] = [null, null];
});
