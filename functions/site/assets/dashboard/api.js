// Calls the API, which is one folder up. A refusal becomes a Problem.

import { bearer } from "./session.js";

const BASE = new URL("../", document.baseURI);
const TIMEOUT_MS = 15_000;

/** An unsuccessful answer. Its status is 0 if there was no answer. */
export class Problem extends Error {
  constructor(status, { title, detail, message, request_id: request } = {}, retryAfter = null) {
    super(detail ?? message ?? title ?? `The service answered ${status}.`);
    this.status = status;
    this.title = title ?? (status === 0 ? "The service is unreachable" : "The service refused the call");
    this.request = request;
    this.retryAfter = retryAfter;
  }
}

export const get = (path, signal) => call("GET", path, signal);
export const post = (path, signal) => call("POST", path, signal);
export const orderPath = (id, ...rest) => ["orders", id, ...rest].map(encodeURIComponent).join("/");

async function call(method, path, signal) {
  const headers = { Accept: "application/json", Authorization: bearer() };
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(new URL(path, BASE), {
    method,
    headers,
    credentials: "omit",
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: "There was no answer. The network may be down." });
  });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new Problem(answer.status, body, seconds(answer.headers.get("Retry-After")));
}

/** `Retry-After` in seconds. It may also be a date. */
function seconds(text) {
  if (!text) return null;
  const number = Number(text);
  const wait = Number.isNaN(number) ? (Date.parse(text) - Date.now()) / 1000 : number;
  return Number.isNaN(wait) ? null : Math.max(0, wait);
}
