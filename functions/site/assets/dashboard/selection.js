// The orders that an operator selects in the list, and the bar that says what may be done with them.

import { $, make, say, show } from "./dom.js";
import { count, plural } from "./format.js";
import { isAdmin } from "./session.js";

// The status of each selected order, by its id. An order that has left the list stays selected.
const selected = new Map();
let listed = [];

/** Forgets the selection. */
export function clear() {
  selected.clear();
  draw();
}

/** Hides everything that selects from callers who may not act on many orders. */
export function reset() {
  listed = [];
  document.body.classList.toggle("selects", isAdmin());
  clear();
}

/** Takes over the orders that the list shows. */
export function see(orders) {
  listed = orders;
  for (const { order_id: id, status } of orders) if (selected.has(id)) selected.set(id, status);
  draw();
}

/** The ids of the selected orders with a status. */
export const idsOf = (status) => [...selected].filter(([, each]) => each === status).map(([id]) => id);

/** A check box that selects an order. */
export function box(id) {
  return make("input", { type: "checkbox", "aria-label": `Select ${id}`, "data-id": id, onchange: (event) => set([id], event.target.checked) });
}

/** Shows in a row whether its order is selected. */
export function mark(input, row) {
  input.checked = selected.has(input.dataset.id);
  row.classList.toggle("selected", input.checked);
}

function set(ids, isSelected) {
  const statuses = new Map(listed.map(({ order_id: id, status }) => [id, status]));
  for (const id of ids) {
    if (isSelected) selected.set(id, statuses.get(id));
    else selected.delete(id);
  }
  draw();
}

function draw() {
  for (const input of document.querySelectorAll("#rows .select input")) mark(input, input.closest("tr"));
  const every = $("select-all");
  every.checked = listed.length > 0 && listed.every(({ order_id: id }) => selected.has(id));
  every.indeterminate = selected.size > 0 && !every.checked;
  show($("selection"), selected.size > 0);
  say($("selected"), `${plural(selected.size, "order", "orders")} selected`);
  offer($("retry-selected"), "Retry", "failed");
  offer($("cancel-selected"), "Cancel", "pending");
  show($("selection-hint"), !idsOf("failed").length && !idsOf("pending").length);
}

function offer(button, word, status) {
  const number = idsOf(status).length;
  show(button, number > 0);
  say(button, `${word} ${count(number)} ${status} …`);
}

$("select-all").addEventListener("change", (event) => {
  if ($("rows").inert) draw();
  else set(listed.map(({ order_id: id }) => id), event.target.checked);
});
$("clear-selection").addEventListener("click", () => {
  clear();
  $("orders").focus();
});
