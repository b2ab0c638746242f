// The page's elements: found by id, made, and changed only where they differ.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; what is null or false is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Sets an element's text, leaving it alone where it says so already: a screen reader would read it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) {
  element.hidden = !isShown;
}

/**
 * Makes the children of `parent` those of `items`, by their keys. What stays is kept, with its focus; `update` brings a
 * child up to date.
 */
export function keep(parent, items, key, create, update = () => {}) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const name = String(key(item));
    const child = old.get(name) ?? create(item);
    child.dataset.key = name;
    old.delete(name);
    update(child, item);
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  for (const child of old.values()) child.remove();
}

/** Draws a bar: a share from 0 to 1. By the object model, which the content security policy lets through. */
export function fill(element, share) {
  element.style.setProperty("--share", `${Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10}%`);
}
