// Finding a value by its rank, by count or by probability mass, without sorting: three passes of a radix selection over
// 11, 11 and 10 bits of order-preserving keys, the later ones over the few values of one bin. Values are f32 [n].
//
// select() answers through the variables below (an instance serves one thread).
import { at } from "./vectors";

/** Bytes of the bins: 2048 sums, f64. */
export const BINS_BYTES: usize = 2048 * 8;

/** The value found. */
export let selected: f32 = 0;
/** Weight of all smaller values. */
export let weightBelow: f64 = 0;
/** How many values (of nonzero weight) are larger. */
export let countAbove: i32 = 0;
/** How many values equal it; their indices, ascending, are the first of `candidates`. */
export let countEqual: i32 = 0;

/** Unsigned integers in the order of the floats; both zeros give one key. */
function keyOf(x: f32): u32 {
  const bits = reinterpret<i32>(x + 0);
  return <u32>(bits ^ ((bits >> 31) | <i32>0x80000000));
}

function floatOf(key: u32): f32 {
  return reinterpret<f32>(key & 0x80000000 ? key ^ 0x80000000 : ~key);
}

function weightOf(weights: usize, i: i32): f64 {
  return weights ? <f64>load<f32>(at(weights, i)) : 1;
}

/**
 * Finds the smallest value v for which the weight of all values <= v exceeds `target`, or, where rounding or the target
 * leaves none, the largest value that has weight.
 * @param weights - f32 [n], not negative; 0 (no array) counts each value as 1
 * @param bins - BINS_BYTES bytes of scratch
 * @param candidates - i32 [n] of scratch; then the indices of the values equal to the one found
 */
export function select(values: usize, weights: usize, n: i32, target: f64, bins: usize, candidates: usize): void {
  weightBelow = 0;
  countAbove = 0;
  let key: u32 = 0;
  let count = n;
  for (let level = 0; level < 3; level++) {
    const shift = level === 0 ? 21 : level === 1 ? 10 : 0;
    const mask: u32 = level === 2 ? 1023 : 2047;
    memory.fill(bins, 0, BINS_BYTES);
    for (let c = 0; c < count; c++) {
      const i = level === 0 ? c : load<i32>(at(candidates, c));
      const weight = weightOf(weights, i);
      if (weight === 0) continue;
      const bin = bins + ((<usize>((keyOf(load<f32>(at(values, i))) >> shift) & mask)) << 3);
      store<f64>(bin, load<f64>(bin) + weight);
    }
    const bin = crossing(bins, mask, target);
    key |= bin << shift;
    let kept = 0;
    for (let c = 0; c < count; c++) {
      const i = level === 0 ? c : load<i32>(at(candidates, c));
      if (weightOf(weights, i) === 0) continue;
      const found = (keyOf(load<f32>(at(values, i))) >> shift) & mask;
      if (found === bin) store<i32>(at(candidates, kept++), i);
      else if (found > bin) countAbove++;
    }
    count = kept;
  }
  selected = floatOf(key);
  countEqual = count;
}

/** The bin in which the running weight passes the target, or the last that has weight; adds the bins before it to weightBelow. */
function crossing(bins: usize, last: u32, target: f64): u32 {
  let found: u32 = 0;
  let before = weightBelow;
  let total = weightBelow;
  for (let bin: u32 = 0; bin <= last; bin++) {
    const weight = load<f64>(bins + ((<usize>bin) << 3));
    if (weight === 0) continue;
    found = bin;
    before = total;
    total += weight;
    if (total > target) break;
  }
  weightBelow = before;
  return found;
}

/** Finds the k-th largest of n values, 1 <= k <= n. */
export function selectLargest(values: usize, n: i32, k: i32, bins: usize, candidates: usize): void {
  select(values, 0, n, <f64>(n - k), bins, candidates);
}
