// The dialog with one order: its content, its timeline and its actions.

import { get, orderPath, post } from "./api.js";
import { $, make, say } from "./dom.js";
import { amount, count, plural } from "./format.js";
import { isAdmin } from "./session.js";
import { timeline } from "./timeline.js";

const dialog = $("order");
const ITEMS = 12;
const ACTIONS = {
  cancel: { word: "Cancel the order", sure: "Yes, cancel it", said: "The order is cancelled." },
  retry: { word: "Retry the order", said: "The order is pending again.", isForAdmins: true },
};

let id = null;
let order = null;
let drawn = "";
let changed = () => {};

/** Sets the listener for changes of an order. */
export function onChange(listener) {
  changed = listener;
}

/** Opens the dialog with an order. */
export async function open(which) {
  [id, order, drawn] = [which, null, ""];
  say($("order-title"), which);
  say($("order-said"), "");
  $("order-body").replaceChildren(make("p", { class: "empty" }, "Loading the order …"));
  if (!dialog.open) dialog.showModal();
  await refresh().catch(explain);
}

export function close() {
  dialog.close();
}

/** Reads the order in the dialog again, while it can change. */
export async function refresh(signal) {
  if (!dialog.open || id === null || (order && order.finished_at && !order.next.length)) return;
  const requested = id;
  const read = await get(orderPath(requested), signal).catch((problem) => {
    // A missing order is an answer, not an error of the page.
    if (problem.status !== 404 && problem.status !== 422) throw problem;
    if (requested === id) explain(problem);
    return null;
  });
  if (read && requested === id) draw(read);
}

function draw(read) {
  order = read;
  const isActive = !order.finished_at;
  // Redrawn only if it changed, which keeps the focus and a screen reader quiet. The timeline of an active order grows.
  const state = JSON.stringify(order);
  if (state === drawn && !isActive) return;
  if (state === drawn) {
    $("order-body").querySelector(".life").replaceWith(timeline(order));
    return;
  }
  drawn = state;
  $("order-body").replaceChildren(head(), timeline(order), facts(), actions());
}

function head() {
  return make("p", { class: "state" }, make("span", { class: `pill ${order.status}` }, order.status));
}

function facts() {
  const items = order.item_ids.slice(0, ITEMS).join(", ");
  const rest = order.item_ids.length - ITEMS;
  const pairs = [
    ["User", order.user_id],
    ["Amount", amount(order.total_amount)],
    [plural(order.item_ids.length, "item", "items"), rest > 0 ? `${items} and ${count(rest)} more` : items],
    ["Attempts", count(order.attempts)],
  ];
  return make("dl", { class: "facts" }, pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function actions() {
  const allowed = order.next.filter((name) => name in ACTIONS && (isAdmin() || !ACTIONS[name].isForAdmins));
  return make("div", { class: "actions" }, allowed.map((name) => button(name)));
}

function button(name) {
  const { word, sure } = ACTIONS[name];
  const ask = sure ? (event) => confirm(event.target, name) : () => act(name);
  return make("button", { type: "button", class: name === "retry" ? "primary" : "danger", onclick: ask }, word);
}

/** Asks for confirmation: a cancel can't be undone. */
function confirm(pressed, name) {
  const yes = make("button", { type: "button", class: "danger", onclick: () => act(name) }, ACTIONS[name].sure);
  const no = make("button", { type: "button", class: "quiet", onclick: () => yes.parentElement.replaceWith(actions()) }, "No");
  pressed.parentElement.replaceChildren(yes, no);
  yes.focus();
}

async function act(name) {
  say($("order-said"), "");
  try {
    draw(await post(orderPath(id, name)));
    say($("order-said"), ACTIONS[name].said);
    $("order-close").focus();
    changed();
  } catch (problem) {
    say($("order-said"), `${problem.title}. ${problem.message}`);
    drawn = "";
    await refresh().catch(() => {});
  }
}

function explain(problem) {
  const text = problem.status === 404 ? "There is no order with this id, or it belongs to another user." : problem.message;
  $("order-body").replaceChildren(make("p", { class: "empty" }, text));
}

$("order-close").addEventListener("click", close);
dialog.addEventListener("click", (event) => event.target === dialog && close());
dialog.addEventListener("close", () => ([id, order] = [null, null]));
