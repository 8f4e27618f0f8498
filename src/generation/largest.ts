// The largest of many values, where few are wanted.

/** The indices of the `count` largest, the largest first, the first among equals; but for those that were taken. */
export function largest(values: Float32Array, count: number, taken?: ReadonlySet<number>): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length && count > 0; i++) {
    if (found.length === count && !(values[i] > values[found[count - 1]])) continue;
    if (taken?.has(i)) continue;
    let at = found.length;
    while (at > 0 && values[i] > values[found[at - 1]]) at--;
    found.splice(at, 0, i);
    if (found.length > count) found.pop();
  }
  return found;
}
