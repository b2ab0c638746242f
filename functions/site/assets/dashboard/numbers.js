// The metrics: GET /metrics, drawn.

import { line } from "./charts.js";
import { $, fill, keep, make, say } from "./dom.js";
import { capital, count, duration, NOTHING, plural, STATUSES } from "./format.js";
import { clear, throughput } from "./throughput.js";

const HISTORY_MINUTES = 15;
const MOMENTS = ["p50", "p95", "p99"];
const orders = (value) => plural(value, "order", "orders");

let drawBacklog = null;
let history = [];

/** Forgets the history of the backlog, and empties what was drawn. */
export function reset() {
  history = [];
  drawBacklog?.([], []);
  say($("backlog"), NOTHING);
  say($("backlog-summary"), "");
  for (const id of ["backlog-facts", "times"]) keep($(id), [], String);
  clear();
}

/** Draws the counts by status. Each is a button that filters the list. Without metrics they have no number. */
export function counts(metrics, chosen, choose) {
  const numbers = { all: metrics?.total_orders, ...metrics?.status_counts };
  const create = (status) =>
    make(
      "button",
      { type: "button", class: `count ${status}`, onclick: () => choose(status === "all" ? null : status) },
      make("span", { class: "name" }, capital(status)),
      make("span", { class: "value" }),
    );
  const update = (button, status) => {
    say(button.lastChild, metrics ? count(numbers[status]) : "");
    button.setAttribute("aria-pressed", String(status === (chosen ?? "all")));
  };
  keep($("counts"), ["all", ...STATUSES], (status) => status, create, update);
}

/** Draws the other metrics, for a range of time. `byHour` has the outcomes of a range that is longer than an hour. */
export function draw(metrics, range, byHour) {
  drawBacklog ??= line($("backlog-chart"), orders);
  throughput(metrics, range, byHour);
  backlog(metrics);
  times(range === "hour" ? metrics : byHour);
  const more = range === "hour" ? " (or up to ten minutes more)" : "";
  say($("times-hint"), `Orders completed within the last ${range}${more}; each figure is within 2.5 %.`);
}

function backlog(metrics) {
  const now = new Date(metrics.as_of) / 1000;
  const active = metrics.status_counts.pending + metrics.status_counts.processing;
  history = [...history.filter(({ time }) => time > now - HISTORY_MINUTES * 60), { time: now, active }];
  drawBacklog(history.map(({ time }) => time), history.map((each) => each.active));
  say($("backlog"), count(active));
  const most = Math.max(...history.map((each) => each.active));
  say($("backlog-summary"), `Pending and processing; at most ${count(most)} while this page was open, within ${HISTORY_MINUTES} minutes.`);
  const age = metrics.oldest_overdue_seconds;
  const facts = [
    ["Scheduled for later", count(metrics.scheduled)],
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
    ["Waiting", metrics?.queueing_seconds ?? {}],
    ["Processing", metrics?.processing_seconds ?? {}],
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
