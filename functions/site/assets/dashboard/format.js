// Formats numbers and times for people, in their time zone.

import { now } from "./clock.js";

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

export const NOTHING = "–";
/** The statuses of orders that have ended, and all statuses. */
export const ENDED = ["completed", "failed", "cancelled"];
export const STATUSES = ["pending", "processing", ...ENDED];

export const capital = (word) => `${word[0].toUpperCase()}${word.slice(1)}`;
export const count = (value) => (value == null ? NOTHING : whole.format(value));
export const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;
export const minute = (time) => clock.format(time);
export const second = (time) => exact.format(time);
export const date = (time) => day.format(time);

export const dayOf = (time) => weekday.format(time);
export const hour = (time) => `${weekday.format(time)}, ${clock.format(time)}`;
export const moment = (text) => `${second(new Date(text))} on ${date(new Date(text))}`;

const two = (number) => String(number).padStart(2, "0");

/** A time of the address as the value of a field, to the minute; empty if it is no time. */
export function local(text) {
  const time = new Date(text ?? NaN);
  if (Number.isNaN(time.getTime())) return "";
  const date = [String(time.getFullYear()).padStart(4, "0"), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${date}T${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** The amount of an order with its currency. */
export const money = ({ total_amount: total, currency }) => [amount(total), currency].filter(Boolean).join(" ");

/** An amount of money. It is a string and stays one. */
export const amount = (text) => text.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",");

/** A duration, in at most two units. */
export function duration(seconds) {
  if (seconds == null) return NOTHING;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} s`;
  if (rounded < 3600) return units(rounded, 60, "min", "s");
  if (rounded < 86400) return units(Math.round(rounded / 60), 60, "h", "min");
  return units(Math.round(rounded / 3600), 24, "d", "h");
}

function units(value, size, large, small) {
  const rest = value % size;
  return `${Math.floor(value / size)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

/** The time since then, in one unit, for lists. */
export function ago(time) {
  const seconds = Math.max(0, (now() - time) / 1000);
  if (seconds < 1) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** The seconds between two times of an order, or null if one is missing. */
export function between(from, to) {
  return from && to ? (new Date(to) - new Date(from)) / 1000 : null;
}
