// The timeline of an order: how long each part took, and its changes.

import { now } from "./clock.js";
import { fill, make } from "./dom.js";
import { between, date, duration, second } from "./format.js";

// The least share of a stretch, so that a short one stays visible.
const LEAST_SHARE = 0.06;

/** The drawing, and its content as a list. */
export function timeline(order, moments) {
  const stretches = stretchesOf(order, now());
  const total = stretches.reduce((sum, { seconds }) => sum + seconds, 0);
  return make("figure", { class: "life" }, [
    make("div", { class: "stretches", "aria-hidden": "true" }, stretches.map((each) => stretch(each, total))),
    make("ol", { class: "moments", "aria-label": "History of the order" }, moments.map(moment)),
  ]);
}

function stretchesOf({ created_at: created, started_at: started, finished_at: finished, status }, until) {
  const waited = { kind: "waited", word: "waiting", seconds: between(created, started ?? finished ?? until), isOn: status === "pending" };
  const worked = { kind: status, word: "processing", seconds: between(started, finished ?? until), isOn: status === "processing" };
  return started ? [waited, worked] : [waited];
}

function stretch({ kind, word, seconds, isOn }, total) {
  const bar = make("i", { class: isOn ? "bar on" : "bar" });
  const element = make("div", { class: `stretch ${kind}` }, make("span", {}, `${word} ${duration(Math.max(0, seconds))}`), bar);
  const share = total > 0 ? seconds / total : 1;
  fill(element, Math.max(LEAST_SHARE, share));
  return element;
}

function moment({ word, time, after, kind = "", more, who }) {
  const at = time && new Date(time);
  const isToday = at && date(at) === date(now());
  return make(
    "li",
    { class: kind },
    make("strong", {}, word),
    at ? make("time", { datetime: time, title: date(at) }, isToday ? second(at) : `${date(at)}, ${second(at)}`) : null,
    after == null ? null : make("span", { class: "after" }, `after ${duration(Math.max(0, after))}`),
    who ? make("p", { class: "who" }, who) : null,
    more ? make("p", {}, more) : null,
  );
}
