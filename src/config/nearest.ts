// Which known name a wrong one was meant to be.

/** The one of `names` that fewest insertions, removals and replacements of letters make of `name`; the first among equals. */
export function nearest(name: string, names: readonly string[]): string {
  const wanted = name.toLowerCase().slice(0, 64);
  let best = names[0];
  let least = Infinity;
  for (const candidate of names) {
    const distance = distanceOf(wanted, candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}
