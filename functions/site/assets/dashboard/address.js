// The page's state in the address bar: the filters, where the list begins, the range and the open order. A link shows what its sender
// saw, and the browser's back button goes back one step.

const FILTERS = ["status", "user", "cause", "from", "before"];
const NAMES = [...FILTERS, "cursor", "range", "order"];

/** Dispatches `change` when the state changes, by this page or by the browser's buttons. */
export const address = new EventTarget();

/** The state: an object with the members that the address has. */
export function state() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
}

/** The state as a query, without any other parameter of the address. */
export function query(of = state()) {
  const text = new URLSearchParams(of).toString();
  return text && `?${text}`;
}

/** Changes members of the state. An empty one leaves the address. With new filters the list begins with its newest order. */
export function go(changes) {
  const start = FILTERS.some((name) => name in changes) ? { cursor: "" } : {};
  const next = Object.fromEntries(Object.entries({ ...state(), ...start, ...changes }).filter(([, value]) => value));
  if (query(next) === query()) return;
  history.pushState(null, "", `${location.pathname}${query(next)}`);
  address.dispatchEvent(new Event("change"));
}

addEventListener("popstate", () => address.dispatchEvent(new Event("change")));
