// The list of the latest orders, and the search by id.

import { get } from "./api.js";
import { $, keep, make, say, show } from "./dom.js";
import { ago, amount, between, count, duration, NOTHING } from "./format.js";
import { open } from "./order.js";

const PAGE = 20;
const MOST = 200;

let status = null;
let limit = PAGE;

export const chosen = () => status;

/** Resets the list. */
export function reset() {
  [status, limit] = [null, PAGE];
  keep($("rows"), [], String);
  show($("more"), false);
  empty("Loading the orders …");
}

/** Selects the orders of one status, or all for null. */
export function choose(one) {
  [status, limit] = [one, PAGE];
}

/** Reads the list and draws it. */
export async function refresh(signal) {
  const query = new URLSearchParams({ limit });
  if (status) query.set("status", status);
  const { orders, next_cursor: next } = await get(`orders?${query}`, signal);
  say($("orders-title"), status ? `Latest ${status} orders` : "Latest orders");
  keep($("rows"), orders, ({ order_id: id }) => id, create, update);
  show($("more"), next && limit < MOST);
  empty(orders.length ? "" : `There is no ${status ?? ""} order yet.`.replace("  ", " "));
}

/** Extends the list by a page. */
export function more() {
  limit = Math.min(MOST, limit + PAGE);
}

function create({ order_id: id }) {
  const link = make("button", { type: "button", class: "id", onclick: () => open(id) }, id);
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, link),
    make("td", { class: "roomy user" }),
    make("td", { class: "roomy figure" }),
    make("td", { class: "roomy figure" }),
    make("td", {}, make("span", { class: "pill" })),
    make("td", { class: "figure" }, make("time")),
    make("td", { class: "roomy figure" }),
  );
}

function update(row, order) {
  const [, user, items, total, state, created, took] = row.children;
  say(user, order.user_id);
  say(items, count(order.item_ids.length));
  say(total, amount(order.total_amount));
  pill(state.firstChild, order.status);
  const time = created.firstChild;
  time.setAttribute("datetime", order.created_at);
  say(time, ago(new Date(order.created_at)));
  const seconds = between(order.started_at, order.finished_at);
  say(took, seconds === null ? NOTHING : duration(seconds));
}

/** Shows a status as a pill. */
export function pill(element, one) {
  element.className = `pill ${one}`;
  say(element, one);
}

function empty(text) {
  say($("no-orders"), text);
  show($("no-orders"), text !== "");
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  open($("search-id").value.trim());
});
