// Walking over f32 arrays of any length by four lanes: the last, partial group is loaded with a filler and stored lane
// by lane, so that nothing is read or written beyond the array.

/** Address of element i of an array of 32-bit values. */
export function at(array: usize, i: i32): usize {
  return array + ((<usize>i) << 2);
}

/** Elements [i, n) of an array, fewer than four, the other lanes being `filler`. */
export function loadTail(array: usize, i: i32, n: i32, filler: f32): v128 {
  let x = f32x4.splat(filler);
  x = f32x4.replace_lane(x, 0, load<f32>(at(array, i)));
  if (i + 1 < n) x = f32x4.replace_lane(x, 1, load<f32>(at(array, i + 1)));
  if (i + 2 < n) x = f32x4.replace_lane(x, 2, load<f32>(at(array, i + 2)));
  return x;
}

/** Stores lanes 0 .. n - i of x to elements [i, n) of an array, fewer than four. */
export function storeTail(array: usize, i: i32, n: i32, x: v128): void {
  store<f32>(at(array, i), f32x4.extract_lane(x, 0));
  if (i + 1 < n) store<f32>(at(array, i + 1), f32x4.extract_lane(x, 1));
  if (i + 2 < n) store<f32>(at(array, i + 2), f32x4.extract_lane(x, 2));
}

/** logits[i] = -infinity wherever values[i] < threshold; NaN stays. */
export function removeBelow(logits: usize, values: usize, n: i32, threshold: f32): void {
  const limit = f32x4.splat(threshold);
  const removed = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const below = f32x4.lt(v128.load(at(values, i)), limit);
    v128.store(at(logits, i), v128.bitselect(removed, v128.load(at(logits, i)), below));
  }
  if (i < n) {
    const below = f32x4.lt(loadTail(values, i, n, 0), limit);
    storeTail(logits, i, n, v128.bitselect(removed, loadTail(logits, i, n, 0), below));
  }
}
