// The form with the filters of the list, and the search by id. The address holds what they select.

import { go, state } from "./address.js";
import { $, say, show } from "./dom.js";
import { local, STATUSES } from "./format.js";
import { readsAll } from "./session.js";

const FIELDS = { status: $("filter-status"), user: $("filter-user"), cause: $("filter-cause"), from: $("filter-from"), before: $("filter-before") };
const TIMES = ["from", "before"];

let shown = 0;

/** Fills the form from the address. */
export function fill() {
  const current = state();
  for (const [name, field] of Object.entries(FIELDS)) {
    const text = TIMES.includes(name) ? local(current[name]) : (current[name] ?? "");
    if (field.value !== text) field.value = text;
  }
  const number = Object.keys(FIELDS).filter((name) => current[name]).length;
  say($("filters-word"), number ? `Filters (${number})` : "Filters");
  show($("clear-filters"), number > 0);
  // New filters are shown; a caller who closed the form is left alone.
  if (number > shown) $("filters-details").open = true;
  shown = number;
  // A caller who reads only its own orders has no other users to select.
  show(FIELDS.user.parentElement, readsAll());
}

function read() {
  const current = state();
  const values = Object.entries(FIELDS).map(([name, field]) => {
    if (!TIMES.includes(name)) return [name, field.value.trim()];
    // The field has no seconds. An unchanged one keeps those of the address.
    if (field.value === local(current[name])) return [name, current[name]];
    // Chrome reports each digit of a year: the year 2026 begins as 2, 20 and 202.
    if (new Date(field.value).getFullYear() < 1970) return [name, current[name]];
    return [name, field.value && new Date(field.value).toISOString()];
  });
  const chosen = Object.fromEntries(values);
  // Only failed orders have a cause.
  if (chosen.cause && chosen.cause !== current.cause) chosen.status = "failed";
  else if (chosen.status !== "failed" && chosen.status !== (current.status ?? "")) chosen.cause = "";
  go(chosen);
}

for (const status of STATUSES) FIELDS.status.add(new Option(status, status));
$("filters").addEventListener("change", read);
$("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  read();
});
$("clear-filters").addEventListener("click", () => {
  go(Object.fromEntries(Object.keys(FIELDS).map((name) => [name, ""])));
  FIELDS.status.focus();
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go({ order: $("search-id").value.trim() });
});
