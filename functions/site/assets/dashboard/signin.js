// Signs in and out by OpenID Connect: authorization code with PKCE (RFC 7636). Only the verifier, the state and the page's query are
// stored, while the browser is at the issuer.

import { query } from "./address.js";
import { fetchInTime } from "./api.js";

const STORED = "ordermill-sign-in";

/** Sends the browser to the issuer. */
export async function leave(config) {
  const { authorization_endpoint: endpoint } = await discover(config);
  const [verifier, state] = [random(), random()];
  sessionStorage.setItem(STORED, JSON.stringify({ verifier, state, query: query() }));
  const url = new URL(endpoint);
  const parameters = {
    response_type: "code",
    client_id: config.client_id,
    redirect_uri: here(),
    scope: config.scope,
    state,
    code_challenge: await challenge(verifier),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  if (config.audience) url.searchParams.set("audience", config.audience);
  location.assign(url);
}

/** Returns the access token if the issuer has just redirected here, else null. Throws if signing in failed. */
export async function finish(config) {
  const answer = new URLSearchParams(location.search);
  const stored = JSON.parse(sessionStorage.getItem(STORED) ?? "null");
  sessionStorage.removeItem(STORED);
  if (!answer.has("code") && !answer.has("error")) return null;
  // A code is valid once, so it leaves the history and the address.
  history.replaceState(null, "", `${here()}${stored?.query ?? ""}`);
  // This comes first: anybody can make a link to this page with an error in words of their own.
  if (!config || !stored || stored.state !== answer.get("state")) {
    throw new Error("This answer belongs to no sign-in of this tab.");
  }
  if (answer.has("error")) throw new Error(answer.get("error_description") ?? answer.get("error"));
  return exchange(config, answer.get("code"), stored.verifier);
}

/** Sends the browser to the issuer, which ends its own session and redirects back. Returns false if the issuer can't do that. */
export async function endAtIssuer(config) {
  const url = logout(config, await discover(config));
  if (url) location.assign(url);
  return url !== null;
}

/** The address that ends the issuer's session: that of OpenID Connect, or Cognito's, which has a parameter of its own. */
function logout(config, { authorization_endpoint: authorize, end_session_endpoint: end }) {
  const isCognito = new URL(config.issuer).hostname.startsWith("cognito-idp.");
  if (!isCognito && !end) return null;
  const url = isCognito ? new URL("/logout", authorize) : new URL(end);
  url.searchParams.set("client_id", config.client_id);
  url.searchParams.set(isCognito ? "logout_uri" : "post_logout_redirect_uri", here());
  return url;
}

async function exchange(config, code, verifier) {
  const { token_endpoint: endpoint } = await discover(config);
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    client_id: config.client_id,
    redirect_uri: here(),
    code,
    code_verifier: verifier,
  });
  const answer = await fetchInTime(endpoint, { method: "POST", body, credentials: "omit" });
  const reply = await answer.json().catch(() => ({}));
  if (!answer.ok || !reply.access_token) throw new Error(reply.error_description ?? reply.error ?? "The issuer returned no token.");
  return reply.access_token;
}

async function discover(config) {
  const answer = await fetchInTime(`${config.issuer}/.well-known/openid-configuration`, { credentials: "omit" });
  if (!answer.ok) throw new Error(`The issuer answered ${answer.status}.`);
  return answer.json();
}

const here = () => new URL("index.html", document.baseURI).href;
const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));

async function challenge(verifier) {
  return encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function encode(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
