// Why orders failed: the newest failed ones, grouped by what they say.

import { get } from "./api.js";
import { $, fill, keep, make, say } from "./dom.js";
import { count, plural } from "./format.js";

const LATEST = 200;
const EVERY_MS = 30_000;

let seen = null;
let next = 0;

/** Forgets what was seen, so that it is asked for again. */
export function reset() {
  [seen, next] = [null, 0];
}

/** Asks where the number of failed orders has changed, and else now and then. */
export async function refresh(signal, failed) {
  if (failed === seen && Date.now() < next) return;
  const { orders } = await get(`orders?status=failed&limit=${LATEST}`, signal);
  [seen, next] = [failed, Date.now() + EVERY_MS];
  draw(orders);
}

function draw(orders) {
  const causes = grouped(orders);
  const create = ([cause]) =>
    make("li", {}, make("span", { class: "cause" }, cause), make("span", { class: "figure" }), make("i", { class: "bar", "aria-hidden": "true" }));
  keep($("causes"), causes, ([cause]) => cause, create, (item, [, number]) => {
    say(item.children[1], count(number));
    fill(item.lastChild, number / causes[0][1]);
  });
  const hint = orders.length < LATEST ? `Of ${plural(orders.length, "failed order", "failed orders")}.` : `Of the last ${LATEST} failures.`;
  say($("causes-hint"), orders.length ? hint : "No order has failed.");
}

function grouped(orders) {
  const numbers = new Map();
  for (const { failure } of orders) numbers.set(failure, (numbers.get(failure) ?? 0) + 1);
  return [...numbers].sort((one, other) => other[1] - one[1]);
}
