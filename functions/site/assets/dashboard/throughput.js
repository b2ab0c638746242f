// The outcomes over a range of time: minutes of an hour, or hours of a day or a week.

import { bars } from "./charts.js";
import { $, keep, make, say } from "./dom.js";
import { capital, count, ENDED, hour, minute, NOTHING, plural } from "./format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** The ranges, by their names in the address. */
export const RANGES = {
  hour: { size: MINUTE, steps: 60, unit: "minute" },
  day: { size: HOUR, steps: 24, unit: "hour" },
  week: { size: HOUR, steps: 168, unit: "hour" },
};
const orders = (value) => plural(value, "order", "orders");
// Retries are subtracted from the failures of their own hour, which may have fewer.
const shown = (value) => count(Math.max(0, value));

let drawChart = null;

/** Draws the outcomes of a range. `byHour` is null until they are read. */
export function throughput(metrics, range, byHour) {
  const { size, unit } = RANGES[range];
  drawChart ??= bars($("throughput"), orders);
  say($("throughput-title"), `Completed per ${unit}`);
  say($("rate-unit"), `last full ${unit}`);
  const isHours = size === HOUR;
  const steps = isHours && !byHour ? [] : every(range, metrics.as_of, isHours ? byHour.outcomes : metrics.completions_per_minute);
  const values = steps.map(({ completed }) => completed);
  drawChart(steps.map(({ time }) => time / 1000), values);
  say($("rate"), count(values.at(-2)));
  say($("throughput-summary"), steps.length ? summary(range, steps, values) : `Loading the last ${range} …`);
  table(range, steps);
}

/** Empties what was drawn. */
export function clear() {
  drawChart?.([], []);
  say($("rate"), NOTHING);
  say($("throughput-summary"), "");
  keep($("throughput-table"), [], String);
}

/** Each step of the range. The answer leaves out steps without an order. */
function every(range, now, given) {
  const { size, steps } = RANGES[range];
  const last = Math.floor(new Date(now) / size);
  const known = new Map(given.map((each) => [new Date(each.hour ?? each.minute) / size, each]));
  return Array.from({ length: steps }, (_, at) => {
    const each = known.get(last - steps + 1 + at);
    const counts = ENDED.map((name) => [name, each?.[name] ?? 0]);
    return { time: (last - steps + 1 + at) * size, ...Object.fromEntries(counts) };
  });
}

function summary(range, steps, values) {
  const { unit, size } = RANGES[range];
  const sum = (name) => steps.reduce((total, each) => total + each[name], 0);
  const total = sum("completed");
  const most = Math.max(...values);
  const at = steps[values.indexOf(most)].time;
  const peak = `; most in one ${unit}: ${count(most)}, at ${size === HOUR ? hour(at) : minute(at)}`;
  const others = size === HOUR ? ` ${ENDED.slice(1).map((name) => `${shown(sum(name))} ${name}`).join(", ")}.` : "";
  return (total ? `${orders(total)} within the last ${range}${peak}.` : `No order was completed within the last ${range}.`) + others;
}

function table(range, steps) {
  const { unit, size } = RANGES[range];
  const columns = size === HOUR ? ENDED : ENDED.slice(0, 1);
  const column = (name) => make("th", { scope: "col", class: "figure" }, capital(name));
  keep($("throughput-head"), [unit], String, () => make("tr", {}, make("th", { scope: "col" }, capital(unit)), columns.map(column)));
  const create = () => make("tr", {}, make("th", { scope: "row" }), columns.map(() => make("td", { class: "figure" })));
  keep($("throughput-table"), steps.toReversed(), ({ time }) => `${unit} ${time}`, create, (row, step) => {
    say(row.firstChild, size === HOUR ? hour(step.time) : minute(step.time));
    columns.forEach((name, at) => say(row.children[at + 1], shown(step[name])));
  });
}
