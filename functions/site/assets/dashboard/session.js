// Who is signed in. The token lives in this module's memory and nowhere else: no storage, no cookie, no address.

let token = null;
let claims = {};
let expiry = 0;

/** Tells of `begin`, and of `end` with the reason as its `detail`. */
export const session = new EventTarget();

/** Starts with an access token. Throws where it is none, or over. */
export function begin(text) {
  const read = claimsOf(text.trim());
  if (read.exp * 1000 <= Date.now()) throw new Error("This token has expired.");
  [token, claims] = [text.trim(), read];
  clearTimeout(expiry);
  // A timer holds 24 days at most.
  const left = read.exp ? Math.min(read.exp * 1000 - Date.now(), 2 ** 31 - 1) : null;
  if (left !== null) expiry = setTimeout(() => end("Your session has ended. Sign in again to go on."), left);
  session.dispatchEvent(new Event("begin"));
}

/** Forgets the token. */
export function end(reason) {
  clearTimeout(expiry);
  [token, claims] = [null, {}];
  session.dispatchEvent(new CustomEvent("end", { detail: reason }));
}

export const isSignedIn = () => token !== null;
export const bearer = () => `Bearer ${token}`;
export const subject = () => claims.sub ?? "somebody";

/** Whether the token says that it grants everything. Only the API decides; this spares calls that it would refuse. */
export const isAdmin = () => scopes().includes("orders/admin");

function scopes() {
  const granted = claims.scope ?? claims.scp ?? [];
  return Array.isArray(granted) ? granted : String(granted).split(" ");
}

function claimsOf(text) {
  try {
    const part = text.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("This is no access token: three parts with a point between them are expected.");
  }
}
