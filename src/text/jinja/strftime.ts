// The clock of templates: Python's strftime in local time, with English names whatever the locale, as the C locale has.
import { showName } from "../../config/show.ts";
import { fail } from "./limits.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");

const two = (n: number): string => String(n).padStart(2, "0");

const PARTS: Readonly<Record<string, (d: Date) => string>> = {
  a: (d) => DAYS[d.getDay()].slice(0, 3),
  A: (d) => DAYS[d.getDay()],
  b: (d) => MONTHS[d.getMonth()].slice(0, 3),
  B: (d) => MONTHS[d.getMonth()],
  d: (d) => two(d.getDate()),
  D: (d) => strftime(d, "%m/%d/%y"),
  e: (d) => String(d.getDate()).padStart(2),
  F: (d) => strftime(d, "%Y-%m-%d"),
  H: (d) => two(d.getHours()),
  I: (d) => two(d.getHours() % 12 || 12),
  j: (d) =>
    String(
      Math.round((Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 0)) / 86_400_000),
    ).padStart(3, "0"),
  m: (d) => two(d.getMonth() + 1),
  M: (d) => two(d.getMinutes()),
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  R: (d) => strftime(d, "%H:%M"),
  S: (d) => two(d.getSeconds()),
  T: (d) => strftime(d, "%H:%M:%S"),
  u: (d) => String(d.getDay() || 7),
  w: (d) => String(d.getDay()),
  y: (d) => two(d.getFullYear() % 100),
  Y: (d) => String(d.getFullYear()),
  "%": () => "%",
};

/** `format` with its directives filled in; `%-d` and its like without leading zeros. @throws for other directives */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%(-?)([\s\S]?)/g, (directive, bare: string, letter: string) => {
    if (!Object.hasOwn(PARTS, letter)) fail(`strftime_now: the directive ${showName(directive)} is not supported`);
    const text = PARTS[letter](date);
    return bare ? text.replace(/^[0 ]+(?=\d)/, "") : text;
  });
