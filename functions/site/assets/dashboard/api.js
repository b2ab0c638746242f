// Calls the API, which is one folder up. A refusal becomes a Problem.

import * as clock from "./clock.js";
import { bearer } from "./session.js";

const BASE = new URL("../", document.baseURI);
const TIMEOUT_MS = 15_000;

// The gateway's own refusals have no title.
const TITLES = {
  0: "The service is unreachable",
  401: "The token is not valid",
  403: "This token may not do that",
  429: "Too many calls",
  503: "The service is not available",
};

/** An unsuccessful answer. Its status is 0 if there was no answer. */
export class Problem extends Error {
  constructor(status, { title, detail, message, errors, request_id: request } = {}, retryAfter = null) {
    const fields = (errors ?? []).map((each) => `${each.pointer.replace(/^[#?/]+/, "")} ${each.detail}`);
    super(fields.length ? `${fields.join("; ")}.` : (detail ?? message ?? title ?? `The service answered ${status}.`));
    this.status = status;
    this.title = title ?? TITLES[status] ?? "The service refused the call";
    this.request = request;
    this.retryAfter = retryAfter;
  }
}

/** `fetch` of something that is not the API and may never answer. */
export function fetchInTime(url, options) {
  return fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => {
    throw new Error(`${new URL(url, document.baseURI).host} does not answer.`);
  });
}

/** An error in words; also one that is no answer. */
export const explained = ({ title, message }) => `${title ?? "This page has a fault"}. ${message}`;

/** The service's time at its last answer, to the second. */
export let servedAt = null;

let answered = () => {};

/** Sets the listener for the answers to a poll, which may be refusals. */
export function onAnswer(listener) {
  answered = listener;
}

export const get = (path, signal) => call("GET", path, { signal });
export const post = (path, body) => call("POST", path, { body });
export const orderPath = (id, ...rest) => ["orders", id, ...rest].map(encodeURIComponent).join("/");

async function call(method, path, { signal, body: sent }) {
  const headers = { Accept: "application/json", Authorization: bearer() };
  if (sent) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const begun = Date.now();
  const answer = await fetch(new URL(path, BASE), {
    method,
    headers,
    body: sent && JSON.stringify(sent),
    credentials: "omit",
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: "There was no answer. The network may be down." });
  });
  servedAt = answer.headers.get("Date");
  clock.set(servedAt, begun);
  // A call without a signal may be of a session that has ended.
  if (signal) answered();
  const body = await answer.json().catch((error) => {
    // An aborted call has a status but no body.
    if (signal?.aborted) throw error;
    if (answer.ok) throw new Problem(0, { detail: "The answer ended too early. The network may be down." });
    return {};
  });
  if (answer.ok) return body;
  throw new Problem(answer.status, body, seconds(answer.headers.get("Retry-After")));
}

/** `Retry-After` in seconds. It may also be a date. */
function seconds(text) {
  if (!text) return null;
  const number = Number(text);
  const wait = Number.isNaN(number) ? (Date.parse(text) - clock.now()) / 1000 : number;
  return Number.isNaN(wait) ? null : Math.max(0, wait);
}
