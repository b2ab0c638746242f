// The list of orders: what the filters select, newest first.

import { go, state } from "./address.js";
import { get } from "./api.js";
import { $, keep, make, say, show } from "./dom.js";
import { ago, between, count, duration, money, NOTHING } from "./format.js";
import * as selection from "./selection.js";

const PAGE = 20;
const MOST = 200;
// Refusals of the filters, if there are any. Any other refusal concerns the whole page.
const BAD_FILTERS = [400, 403, 422];

let limit = PAGE;
// The cursor of the orders that follow, if the list can't hold them too.
let older = null;

/** Resets the list. */
export function reset() {
  older = null;
  clear("Loading the orders …");
  renew();
}

/** Shows that other orders are on their way. Until then the listed ones can't be selected or opened. */
export function renew() {
  limit = PAGE;
  busy(true);
  say($("orders-title"), `${title(filters())} …`);
}

/** Shows a text in place of orders. */
function clear(text) {
  busy(false);
  keep($("rows"), [], String);
  selection.see([]);
  show($("more"), false);
  empty(text);
}

function busy(isBusy) {
  $("orders").setAttribute("aria-busy", String(isBusy));
  $("rows").inert = isBusy;
  // A disabled box would lose the focus. Until the rows are new it changes nothing.
  $("select-all").ariaDisabled = String(isBusy);
}

/** The filters and the cursor of the address, as the API names them. */
export function filters() {
  const { status, user, cause, from, before, cursor } = state();
  const named = { status, user_id: user, cause, created_from: from, created_before: before, cursor };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value));
}

/** Reads the list and draws it. */
export async function refresh(signal) {
  const chosen = filters();
  try {
    draw(chosen, await get(`orders?${new URLSearchParams({ limit, ...chosen })}`, signal));
  } catch (problem) {
    const isOfFilters = BAD_FILTERS.includes(problem.status) && Object.keys(chosen).length > 0;
    // Rows that wait for others are those of other filters.
    if (isOfFilters || ($("rows").inert && !signal.aborted)) {
      clear(isOfFilters ? `These filters were refused. ${problem.title}: ${problem.message}` : "The orders could not be read.");
      say($("orders-title"), title(chosen));
    }
    if (!isOfFilters) throw problem;
  }
}

function draw(chosen, { orders, next_cursor: next }) {
  busy(false);
  say($("orders-title"), title(chosen));
  // A page can end before its limit: its orders are large, or few match. Another page follows nevertheless.
  older = orders.length < limit || limit >= MOST ? next : null;
  selection.see(orders);
  keep($("rows"), orders, ({ order_id: id }) => id, create, update);
  show($("more"), Boolean(next));
  say($("more"), older && orders.length ? "Show only older orders" : "Show older orders");
  empty(orders.length ? "" : next ? "No order found so far." : nothing(chosen));
}

function title({ status, user_id: user, cursor }) {
  return [cursor ? "Older" : "Latest", status, "orders", user && `of ${user}`].filter(Boolean).join(" ");
}

function nothing({ status, ...others }) {
  return Object.keys(others).length ? "No order matches the filters." : ["There is no", status, "order yet."].filter(Boolean).join(" ");
}

/** Extends the list by a page. A list that can't be extended shows only the older orders. One that is on its way does neither. */
export function more() {
  if ($("rows").inert) return;
  if (older) go({ cursor: older });
  else limit = Math.min(MOST, limit + PAGE);
}

function create({ order_id: id }) {
  const link = make("button", { type: "button", class: "id", onclick: () => go({ order: id }) }, id);
  return make(
    "tr",
    {},
    make("td", { class: "select" }, selection.box(id)),
    make("th", { scope: "row" }, link),
    make("td", { class: "roomy user" }),
    make("td", { class: "roomy figure" }),
    make("td", { class: "roomy figure" }),
    make("td", { class: "state" }, make("span", { class: "pill" })),
    make("td", { class: "figure" }, make("time")),
    make("td", { class: "roomy figure" }),
  );
}

function update(row, order) {
  const [select, , user, items, total, status, created, took] = row.children;
  selection.mark(select.firstChild, row);
  say(user, order.user_id);
  say(items, count(order.item_ids.length));
  say(total, money(order));
  pill(status.firstChild, order.status);
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

const empty = (text) => say($("no-orders"), text);
