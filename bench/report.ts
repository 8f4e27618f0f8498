// What the bench finds, as data: parts give sections of tables, charts and targets; a report is all of them with the
// machine and the commit. Saved as JSON, it can be compared with a later one.
import type { Machine } from "./machine.ts";

/** One measured number. Its name is the same from run to run, so that reports can be compared. */
export interface Figure {
  readonly name: string;
  /** The median of the runs. */
  readonly value: number;
  readonly unit: string;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
  /** Whether more of it is better; for times and memory less is. */
  readonly more: boolean;
  /** The share of what the machine could do, measured in the same run. */
  readonly of?: { readonly what: string; readonly share: number };
}

export type Cell = string | Figure | null;

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Chart {
  readonly title: string;
  readonly kind: "line" | "bar";
  readonly x: { readonly name: string; readonly values: readonly (string | number)[]; readonly log?: boolean };
  readonly y: { readonly name: string; readonly log?: boolean };
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

/** What the project set out to reach, and what was measured. */
export interface Target {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly met: boolean;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What runs this part alone. */
  readonly command: string;
  /** How it was measured, and what is known about figures that fall short. */
  readonly notes: readonly string[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
  readonly targets: readonly Target[];
}

export interface Report {
  readonly machine: Machine;
  readonly command: string;
  readonly seconds: number;
  readonly sections: readonly Section[];
}

/** The median of some runs with their spread. @throws RangeError without runs */
export function figure(
  name: string,
  unit: string,
  runs: readonly number[],
  { more = true, of }: { more?: boolean; of?: { what: string; roof: number } } = {},
): Figure {
  if (runs.length === 0) throw new RangeError(`${name}: expected at least one run`);
  const sorted = runs.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const value = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  const share = of && { what: of.what, share: value / of.roof };
  return { name, unit, value, low: sorted[0], high: sorted.at(-1)!, runs: runs.length, more, of: share };
}

/** Megabytes; nothing where the system did not tell. */
export const memoryFigure = (name: string, bytes: readonly (number | undefined)[]): Figure | null =>
  bytes.every((each) => each)
    ? figure(
        name,
        "MB",
        bytes.map((each) => each! / 1e6),
        { more: false },
      )
    : null;

/** A target that a value has to reach (`least`) or stay under (`most`). */
export function target(what: string, value: number, limit: { least: number } | { most: number }, unit: string): Target {
  const least = "least" in limit;
  const met = least ? value >= limit.least : value <= limit.most;
  const show = (n: number) => (unit === "%" ? `${(100 * n).toFixed(0)} %` : `${round(n)} ${unit}`.trim());
  return {
    what,
    target: `${least ? "at least" : "at most"} ${show(least ? limit.least : (limit as { most: number }).most)}`,
    measured: show(value),
    met,
  };
}

/** Three significant digits, never more than are before the point. */
export function round(n: number): string {
  if (!Number.isFinite(n)) return String(n);
  const digits = n === 0 ? 0 : Math.floor(Math.log10(Math.abs(n)));
  return n.toFixed(Math.max(0, Math.min(3, 2 - digits)));
}

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/** Every figure of a report, in order. */
export const figures = (report: Report): Figure[] =>
  report.sections
    .flatMap(({ tables }) => tables.flatMap(({ rows }) => rows.flat()))
    .filter((cell): cell is Figure => typeof cell === "object" && cell !== null);
