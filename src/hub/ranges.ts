// Which bytes of a file there are: ranges [from, to), sorted, none of which touches another.
//   [0, 4) and [8, 12) and then [4, 8)  →  [0, 12)

export type Range = readonly [from: number, to: number];

export class Ranges {
  /** Bytes in all. */
  size = 0;
  private all: Range[] = [];

  /** Adds a range, which may overlap others. */
  add(from: number, to: number): void {
    if (from >= to) return;
    const before = this.all.filter((range) => range[1] < from);
    const behind = this.all.filter((range) => range[0] > to);
    const met = this.all.slice(before.length, this.all.length - behind.length);
    const merged: Range = [Math.min(from, ...met.map(([a]) => a)), Math.max(to, ...met.map(([, b]) => b))];
    this.all = [...before, merged, ...behind];
    this.size += merged[1] - merged[0] - met.reduce((sum, [a, b]) => sum + b - a, 0);
  }

  /** Bytes from the file's beginning on without a gap. */
  get prefix(): number {
    return this.all[0]?.[0] === 0 ? this.all[0][1] : 0;
  }

  /** What lacks of a file of `end` bytes, in order, in pieces of `most` bytes at most. */
  missing(end: number, most: number): Range[] {
    const pieces: Range[] = [];
    let at = 0;
    for (const [from, to] of [...this.all, [end, end] as Range]) {
      for (; at < from; at += most) pieces.push([at, Math.min(from, at + most)]);
      at = to;
    }
    return pieces;
  }

  list(): readonly Range[] {
    return this.all;
  }
}

/** Ranges as a note has them; undefined where it is none. @param end - no range may pass it */
export function readRanges(given: unknown, end: number): Ranges | undefined {
  if (!Array.isArray(given) || given.length > 100_000) return undefined;
  const ranges = new Ranges();
  for (const range of given) {
    const [from, to] = Array.isArray(range) ? range : [];
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from < to && to <= end))
      return undefined;
    ranges.add(from, to);
  }
  return ranges;
}
