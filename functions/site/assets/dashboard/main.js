// The dashboard's entry: the session, and the polling of the API.

import { address, go, state } from "./address.js";
import { fetchInTime, get, onAnswer } from "./api.js";
import * as ask from "./ask.js";
import * as bulk from "./bulk.js";
import * as clock from "./clock.js";
import { $, say, show } from "./dom.js";
import * as failures from "./failures.js";
import * as filters from "./filters.js";
import { duration } from "./format.js";
import * as numbers from "./numbers.js";
import * as order from "./order.js";
import * as orders from "./orders.js";
import * as pause from "./pause.js";
import { Poll } from "./poll.js";
import * as range from "./range.js";
import * as selection from "./selection.js";
import * as session from "./session.js";
import * as signIn from "./signin.js";
import * as status from "./status.js";

const EVERY_SECONDS = 2;
const LARGE_SKEW_MS = 60_000;
const REFUSED = "The service does not accept this token. Sign in again.";

let config = { sign_in: null, admin_group: null };
let hasSession = false;
let metrics = null;
let listed = "";

const poll = new Poll(refresh, EVERY_SECONDS, onReport);

async function refresh(signal) {
  try {
    await Promise.all([readMetrics(signal), orders.refresh(signal), order.refresh(signal)]);
  } finally {
    if (!signal.aborted) failures.refresh(metrics?.status_counts.failed);
  }
}

async function readMetrics(signal) {
  if (session.readsAll()) metrics = await get(range.path(), signal);
  drawCounts();
  drawService();
  if (metrics) numbers.draw(metrics, range.range(), range.byHour(metrics));
}

/** Shows how much of the whole service the session sees, and its pause. */
function drawService() {
  const isLimited = !session.readsAll();
  document.body.classList.toggle("limited", isLimited);
  show($("limited"), isLimited);
  pause.draw(isLimited ? null : metrics?.pause);
}

function drawCounts() {
  numbers.counts(metrics, state().status, (status) => go({ status: status ?? "", cause: "" }));
}

function onReport(report) {
  if (report.problem?.status === 401) session.end(REFUSED);
  else status.handle(report);
}

/** Shows what the address says. */
function follow() {
  if (!session.isSignedIn()) return;
  const selects = JSON.stringify(orders.filters());
  if (selects !== listed) {
    listed = selects;
    orders.renew();
    selection.clear();
  }
  drawState();
  poll.now();
}

function drawState() {
  filters.fill();
  bulk.offer();
  range.draw();
  drawCounts();
  if (metrics) numbers.draw(metrics, range.range(), range.byHour(metrics));
  order.open(state().order);
}

function begin() {
  metrics = null;
  say($("who"), `${session.subject()}${session.isAdmin() ? " · operator" : ""}`);
  show($("account"), true);
  show($("read-only"), session.readsAll() && !session.isAdmin());
  [orders, failures, numbers, range, selection].forEach((part) => part.reset());
  listed = JSON.stringify(orders.filters());
  drawService();
  drawState();
  status.reset("loading");
  poll.start();
}

function end(reason) {
  poll.stop();
  ask.close();
  order.leave();
  show($("account"), false);
  askToSignIn(reason || "You are signed out.");
  $(config.sign_in ? "sign-in-button" : "token").focus();
}

function askToSignIn(reason) {
  status.reset("signed-out");
  show($("sign-in-button"), config.sign_in !== null);
  $("token-details").open = config.sign_in === null;
  if (reason) say($("sign-in-reason"), reason);
}

async function start() {
  try {
    const begun = Date.now();
    // A stored answer would have an old `Date`.
    const answer = await fetchInTime("config.json", { cache: "no-store" });
    clock.set(answer.headers.get("Date"), begun);
    nameSkew();
    if (!answer.ok) throw new Error(`the service answered ${answer.status}. Reload the page to try again.`);
    config = await answer.json();
    session.setAdminGroup(config.admin_group);
    const token = await signIn.finish(config.sign_in);
    hasSession = token !== null;
    if (token) session.begin(token);
    else askToSignIn();
  } catch (error) {
    askToSignIn(`Signing in failed: ${error.message}`);
  }
}

/** Names a browser's clock that is wrong. */
function nameSkew() {
  const skew = clock.skew();
  const way = skew > 0 ? "ahead of" : "behind";
  say($("clock"), `This device's clock is ${duration(Math.abs(skew) / 1000)} ${way} the service's. The page goes by the service's clock.`);
  show($("clock"), Math.abs(skew) > LARGE_SKEW_MS);
}

/** Ends the session, and that of the issuer: otherwise "Sign in" would sign the next person in as this user. */
async function signOut() {
  session.end("You are signed out.");
  if (!hasSession) return;
  const here = "You are signed out of this page, but perhaps not at the issuer";
  try {
    const isEnding = await signIn.endAtIssuer(config.sign_in);
    if (!isEnding) say($("sign-in-reason"), `${here}: it has no address for that. Sign out there too.`);
  } catch (error) {
    say($("sign-in-reason"), `${here}: ${error.message} Sign out there too.`);
  }
}

/** Runs an action, and shows its error beside the sign-in. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say($("sign-in-reason"), error.message);
  }
}

session.session.addEventListener("begin", begin);
session.session.addEventListener("end", (event) => end(event.detail));
address.addEventListener("change", follow);
onAnswer(() => (status.hear(), nameSkew()));
[order, bulk, pause].forEach((part) => part.onChange(() => poll.now()));
$("sign-in-button").addEventListener("click", () => attempt(() => signIn.leave(config.sign_in)));
$("sign-out").addEventListener("click", signOut);
$("try-again").addEventListener("click", () => poll.now());
$("more").addEventListener("click", () => (orders.more(), poll.now()));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  // A refused token stays, so that a slip can be corrected.
  attempt(() => {
    session.begin($("token").value);
    $("token").value = "";
  });
});
start();
