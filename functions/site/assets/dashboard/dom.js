// Helpers for the page's elements: find, create, and update only on a change.

export const $ = (id) => document.getElementById(id);

/** Creates an element with attributes and children, without those that are null or false. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Sets an element's text if it differs. A screen reader would read the same text again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) {
  element.hidden = !isShown;
}

/** Calls `close` when the dialog's backdrop is clicked. A click that begins or ends on the dialog itself, its padding included, is none. */
export function onBackdrop(dialog, close) {
  const isOutside = ({ clientX: x, clientY: y }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    return x < left || x > right || y < top || y > bottom;
  };
  let hasBegun = false;
  dialog.addEventListener("pointerdown", (event) => (hasBegun = isOutside(event)));
  dialog.addEventListener("click", (event) => event.target === dialog && hasBegun && isOutside(event) && close());
}

/** Updates the children of `parent` to match `items`, by key. A child that remains keeps its focus; `update` redraws it. */
export function keep(parent, items, key, create, update = () => {}) {
  const names = items.map((item) => String(key(item)));
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  // Before the loop, which would move every child behind one that leaves. A move takes the focus.
  for (const [name, child] of old) if (!names.includes(name)) child.remove();
  items.forEach((item, at) => {
    const child = old.get(names[at]) ?? create(item);
    child.dataset.key = names[at];
    update(child, item);
    if (parent.children[at] === child) return;
    // The child that has the focus stays, and those before it move behind the others.
    if (child.contains(document.activeElement)) while (parent.children[at] !== child) parent.append(parent.children[at]);
    else parent.insertBefore(child, parent.children[at] ?? null);
  });
}

/** Draws a bar with a share from 0 to 1. The content security policy allows styles set by the object model. */
export function fill(element, share) {
  element.style.setProperty("--share", `${Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10}%`);
}
