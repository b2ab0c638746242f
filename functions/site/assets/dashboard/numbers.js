// The metrics: GET /metrics, drawn.

import { bars, line } from "./charts.js";
import { $, fill, keep, make, say } from "./dom.js";
import { count, duration, minute, NOTHING, plural, STATUSES } from "./format.js";

const MINUTES = 60;
const HISTORY_MINUTES = 15;
const MOMENTS = ["p50", "p95", "p99"];
const orders = (value) => plural(value, "order", "orders");

let drawThroughput = null;
let drawBacklog = null;
let history = [];

/** Forgets the history of the backlog. */
export function reset() {
  history = [];
}

/** Draws the counts by status. Each is a button that filters the list. Without metrics they have no number. */
export function counts(metrics, chosen, choose) {
  const numbers = { all: metrics?.total_orders, ...metrics?.status_counts };
  const create = (status) =>
    make(
      "button",
      { type: "button", class: `count ${status}`, onclick: () => choose(status === "all" ? null : status) },
      make("span", { class: "name" }, `${status[0].toUpperCase()}${status.slice(1)}`),
      make("span", { class: "value" }),
    );
  const update = (button, status) => {
    say(button.lastChild, metrics ? count(numbers[status]) : "");
    button.setAttribute("aria-pressed", String(status === (chosen ?? "all")));
  };
  keep($("counts"), ["all", ...STATUSES], (status) => status, create, update);
}

/** Draws the other metrics. */
export function draw(metrics) {
  drawThroughput ??= bars($("throughput"), orders);
  drawBacklog ??= line($("backlog-chart"), orders);
  throughput(metrics);
  backlog(metrics);
  times(metrics);
}

function throughput(metrics) {
  const minutes = lastHour(metrics);
  const values = minutes.map(({ completed }) => completed);
  drawThroughput(minutes.map(({ time }) => time / 1000), values);
  say($("rate"), count(values.at(-2)));
  const total = values.reduce((sum, value) => sum + value, 0);
  const most = Math.max(...values);
  const peak = `; most in one minute: ${count(most)}, at ${minute(minutes[values.indexOf(most)].time)}`;
  say($("throughput-summary"), total ? `${orders(total)} within the last hour${peak}.` : "No order was completed within the last hour.");
  const create = () => make("tr", {}, make("th", { scope: "row" }), make("td", { class: "figure" }));
  keep($("throughput-table"), minutes.toReversed(), ({ time }) => time, create, (row, { time, completed }) => {
    say(row.firstChild, minute(time));
    say(row.lastChild, count(completed));
  });
}

/** Each minute of the last hour. The answer leaves out minutes without an order. */
function lastHour({ as_of: now, completions_per_minute: given }) {
  const last = Math.floor(new Date(now) / 60_000);
  const known = new Map(given.map((each) => [new Date(each.minute) / 60_000, each.completed]));
  const minutes = Array.from({ length: MINUTES }, (_, at) => last - MINUTES + 1 + at);
  return minutes.map((each) => ({ time: each * 60_000, completed: known.get(each) ?? 0 }));
}

function backlog(metrics) {
  const now = new Date(metrics.as_of) / 1000;
  const active = metrics.status_counts.pending + metrics.status_counts.processing;
  history = [...history.filter(({ time }) => time > now - HISTORY_MINUTES * 60), { time: now, active }];
  drawBacklog(history.map(({ time }) => time), history.map((each) => each.active));
  say($("backlog"), count(active));
  const most = Math.max(...history.map((each) => each.active));
  say($("backlog-summary"), `Pending and processing; at most ${count(most)} since this page was opened.`);
  const age = metrics.oldest_overdue_seconds;
  const facts = [
    ["Oldest overdue", age > 0 ? duration(age) : "none", age > 180],
    ["Messages in the queue", count(metrics.queue_depth)],
    ["Dead letters", count(metrics.dead_letter_depth), metrics.dead_letter_depth > 0],
    ["Requeued by the sweeper", count(metrics.requeued_orders)],
  ];
  const create = ([name]) => make("div", {}, make("dt", {}, name), make("dd"));
  keep($("backlog-facts"), facts, ([name]) => name, create, (fact, [, value, isBad]) => {
    say(fact.lastChild, value);
    fact.classList.toggle("bad", Boolean(isBad));
  });
}

function times(metrics) {
  const rows = [
    ["Waiting", metrics.queueing_seconds],
    ["Processing", metrics.processing_seconds],
  ];
  const longest = Math.max(...rows.flatMap(([, values]) => MOMENTS.map((moment) => values[moment] ?? 0)), 0.001);
  const cell = () => make("td", { class: "figure" }, make("span"), make("i", { class: "bar", "aria-hidden": "true" }));
  const create = ([name]) => make("tr", {}, make("th", { scope: "row" }, name), MOMENTS.map(cell));
  keep($("times"), rows, ([name]) => name, create, (row, [, values]) => {
    MOMENTS.forEach((moment, at) => {
      const { firstChild: text, lastChild: bar } = row.children[at + 1];
      say(text, values[moment] == null ? NOTHING : duration(values[moment]));
      fill(bar, (values[moment] ?? 0) / longest);
    });
  });
}
