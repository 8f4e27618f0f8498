// Before → after, a line for each figure that two reports share.
import { figures, percent, type Report, round } from "./report.ts";

/** Lines in the new report's order; a figure that only one of them has is left out. */
export function compare(before: Report, after: Report): string[] {
  const old = new Map(figures(before).map((figure) => [figure.name, figure]));
  return figures(after).flatMap((now) => {
    const then = old.get(now.name);
    if (!then) return [];
    const change = now.value / then.value - 1;
    // Where the ranges of the runs overlap the difference may be noise.
    const noise = now.low <= then.high && then.low <= now.high;
    const verdict = noise ? "within the spread" : change > 0 === now.more ? "better" : "worse";
    const sign = change >= 0 ? "+" : "−";
    return `${now.name}: ${round(then.value)} → ${round(now.value)} ${now.unit} (${sign}${percent(Math.abs(change))}, ${verdict})`;
  });
}
