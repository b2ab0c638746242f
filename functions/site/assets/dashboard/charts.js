// The charts, drawn by uPlot in the page's colours. The text beside each chart has the same content.

import { make } from "./dom.js";
import { minute } from "./format.js";

const HALF_A_MINUTE = 30;
const MINUTES = [1, 2, 5, 10, 15, 30].map((each) => each * 60);
const charts = new Set();

/** Completed orders by minute. */
export const bars = (element, label) => chart(element, label, { paths: uPlot.paths.bars({ size: [0.72, 16], radius: 0.25 }), width: 0 }, "--accent", HALF_A_MINUTE);

/** A value over time, drawn as steps. */
export const line = (element, label) => chart(element, label, { paths: uPlot.paths.stepped({ align: 1 }), width: 1.5 }, "--accent-soft", 0);

function chart(element, label, series, ground, margin) {
  const it = { element, data: [[], []], plot: null, options: () => options(element, label, series, ground, margin) };
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

function options(element, label, series, ground, margin) {
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
      x: { range: (_, first, last) => [first - margin, Math.max(last, first + 1) + margin] },
      y: { range: (_, __, most) => [0, Math.max(4, most * 1.08)] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 72, size: 28, incrs: MINUTES, values: (_, times) => times.map((time) => minute(time * 1000)) },
      { ...axis, grid: hair, space: 28, size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] },
    ],
    series: [{}, { ...series, stroke: colour("--accent"), fill: colour(ground), points: { show: false } }],
    plugins: [tip(label)],
  };
}

/** Shows the value under the pointer. */
function tip(label) {
  const bubble = make("div", { class: "tip", hidden: true });
  const move = (plot) => {
    const { idx, left } = plot.cursor;
    const value = idx == null ? null : plot.data[1][idx];
    bubble.hidden = value == null || left < 0;
    if (bubble.hidden) return;
    bubble.textContent = `${minute(plot.data[0][idx] * 1000)} · ${label(value)}`;
    bubble.style.left = `${Math.min(left, plot.over.clientWidth - bubble.offsetWidth)}px`;
  };
  return { hooks: { init: (plot) => plot.over.append(bubble), setCursor: move } };
}

const size = (element) => ({ width: element.clientWidth || 300, height: element.clientHeight || 160 });
