// The clock of templates: Python's strftime in local time, with English names whatever the locale, as the C locale has.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");

const two = (n: number): string => String(n).padStart(2, "0");

const PARTS: Readonly<Record<string, (d: Date) => string>> = {
  a: (d) => DAYS[d.getDay()].slice(0, 3),
  A: (d) => DAYS[d.getDay()],
  b: (d) => MONTHS[d.getMonth()].slice(0, 3),
  B: (d) => MONTHS[d.getMonth()],
  d: (d) => two(d.getDate()),
  H: (d) => two(d.getHours()),
  I: (d) => two(d.getHours() % 12 || 12),
  j: (d) =>
    String(
      Math.round((Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 0)) / 86_400_000),
    ).padStart(3, "0"),
  m: (d) => two(d.getMonth() + 1),
  M: (d) => two(d.getMinutes()),
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  S: (d) => two(d.getSeconds()),
  y: (d) => two(d.getFullYear() % 100),
  Y: (d) => String(d.getFullYear()),
  "%": () => "%",
};

/** `format` with its directives filled in; directives that are not known stay as they are. */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%([A-Za-z%])/g, (directive, letter: string) =>
    Object.hasOwn(PARTS, letter) ? PARTS[letter](date) : directive,
  );
