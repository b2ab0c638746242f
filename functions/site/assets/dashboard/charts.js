// The charts, drawn by uPlot in the page's colours. The text beside each chart has the same content.

import { make } from "./dom.js";
import { dayOf, hour, minute } from "./format.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const TIMES = [...[1, 2, 5, 10, 15, 30].map((each) => each * 60), ...[1, 2, 3, 6, 12].map((each) => each * HOUR), DAY];
const NUMBERS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat();
const short = new Intl.NumberFormat("en", { notation: "compact" });
const charts = new Set();

/** Numbers by minute or by hour. */
export const bars = (element, label) => chart(element, label, { paths: uPlot.paths.bars({ size: [0.72, 16], radius: 0.25 }), width: 0 }, "--accent", true);

/** A value over time, drawn as steps. */
export const line = (element, label) => chart(element, label, { paths: uPlot.paths.stepped({ align: 1 }), width: 1.5 }, "--accent-soft", false);

function chart(element, label, series, ground, isSteps) {
  const it = { element, data: [[], []], plot: null, options: () => options(element, label, series, ground, isSteps) };
  build(it);
  charts.add(it);
  new ResizeObserver(() => it.plot.setSize(size(element))).observe(element);
  return (xs, ys) => {
    it.data = [xs, ys];
    it.plot.setData(it.data);
  };
}

function build(it) {
  it.plot?.destroy();
  it.plot = new uPlot(it.options(), it.data, it.element);
}

// Colours are read when a chart is built.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(build));

const stepOf = ({ data: [times] }) => (times.length > 1 ? times[1] - times[0] : 60);

function options(element, label, series, ground, isSteps) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: colour("--muted"), font, ticks: { show: false }, gap: 6 };
  const hair = { stroke: colour("--line"), width: 1 };
  return {
    ...size(element),
    padding: [10, 14, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { range: (plot, first, last) => withMargin(first, last, isSteps ? stepOf(plot) / 2 : 0) },
      y: { range: (_, __, most) => [0, Math.max(4, most * 1.08)] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 72, size: 28, incrs: TIMES, values: (_, times, __, ___, apart) => times.map((time) => timeLabel(time, apart)) },
      // A low chart has a number beside 0 too.
      { ...axis, grid: hair, space: (_, __, ___, ____, height) => Math.min(28, height / 3.3), size: 40, incrs: NUMBERS, values: (_, numbers) => numbers.map(short.format) },
    ],
    series: [{}, { ...series, stroke: colour("--accent"), fill: colour(ground), points: { show: false } }],
    plugins: [tip(label)],
  };
}

const withMargin = (first, last, margin) => [first - margin, Math.max(last, first + 1) + margin];

/** The label of a time on the axis. Midnight has the day. */
function timeLabel(time, apart) {
  const at = new Date(time * 1000);
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
  return apart >= HOUR && (apart >= DAY || isMidnight) ? dayOf(at) : minute(at);
}

/** Shows the value under the pointer. */
function tip(label) {
  const bubble = make("div", { class: "tip", hidden: true });
  const move = (plot) => {
    const { idx, left } = plot.cursor;
    const value = idx == null ? null : plot.data[1][idx];
    bubble.hidden = value == null || left < 0;
    if (bubble.hidden) return;
    const at = plot.data[0][idx] * 1000;
    bubble.textContent = `${stepOf(plot) >= HOUR ? hour(at) : minute(at)} · ${label(value)}`;
    bubble.style.left = `${Math.min(left, plot.over.clientWidth - bubble.offsetWidth)}px`;
  };
  return { hooks: { init: (plot) => plot.over.append(bubble), setCursor: move } };
}

const size = (element) => ({ width: element.clientWidth || 300, height: element.clientHeight || 160 });
