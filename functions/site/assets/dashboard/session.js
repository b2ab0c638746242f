// The session. The token is only in this module's memory: not in storage, a cookie or the address.

import { now } from "./clock.js";

let token = null;
let claims = {};
let expiry = 0;
let adminGroup = null;

/** Dispatches `begin`, and `end` with the reason as its `detail`. */
export const session = new EventTarget();

/** Starts a session with an access token. Throws if it is no token or has expired. A copied one may have line breaks and its scheme. */
export function begin(text) {
  const bare = text.replace(/^\s*Bearer\s/i, "").replace(/\s/g, "");
  const read = claimsOf(bare);
  if (read.exp * 1000 <= now()) throw new Error("This token has expired.");
  [token, claims] = [bare, read];
  clearTimeout(expiry);
  // A timer holds 24 days at most.
  const left = read.exp ? Math.min(read.exp * 1000 - now(), 2 ** 31 - 1) : null;
  if (left !== null) expiry = setTimeout(() => end("Your session has ended. Sign in again."), left);
  session.dispatchEvent(new Event("begin"));
}

/** Ends the session and forgets the token. */
export function end(reason) {
  clearTimeout(expiry);
  [token, claims] = [null, {}];
  session.dispatchEvent(new CustomEvent("end", { detail: reason }));
}

export const isSignedIn = () => token !== null;
export const bearer = () => `Bearer ${token}`;
export const subject = () => claims.sub ?? "unknown user";

/** Sets the group of the issuer whose members are operators; null if there is none. */
export const setAdminGroup = (group) => (adminGroup = group);

/** Whether the token claims `orders/admin`, by scope or by group. The API decides; this avoids calls that it would refuse. */
export const isAdmin = () =>
  scopes().includes("orders/admin") || (adminGroup !== null && (claims["cognito:groups"] ?? []).includes(adminGroup));

/** Whether the token may read every user's orders, and the metrics. */
export const readsAll = () => isAdmin() || scopes().includes("orders/read.all");

/** Whether the token may cancel an order of this user. */
export const writes = (user) =>
  isAdmin() || scopes().includes("orders/write.all") || (scopes().includes("orders/write") && user === subject());

function scopes() {
  const listed = (granted) => (Array.isArray(granted) ? granted : String(granted ?? "").split(" "));
  return [...listed(claims.scope), ...listed(claims.scp)];
}

function claimsOf(text) {
  try {
    // `fetch` would refuse other characters in a header, as if the service were out of reach.
    const [, part] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(text);
    const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("This is no access token. A token has three parts of letters, digits, - and _, separated by points.");
  }
}
