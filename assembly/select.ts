// Finding a value by its rank, by count or by probability mass, without sorting: three passes of a radix selection over
// 11, 11 and 10 bits of order-preserving keys, the later ones over the few values of one bin. Values are f32 [n].
//
// The selections answer through the variables below (an instance serves one thread).
import { at } from "./vectors";

/** Bytes of the bins: 2048 sums, f64. */
export const BINS_BYTES: usize = 2048 * 8;

/** The value found. */
export let selected: f32 = 0;
/** Weight of all smaller values. */
export let weightBelow: f64 = 0;
/** How many values of nonzero weight are larger. */
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

/**
 * Finds the smallest value v for which the weight of all values <= v exceeds `target`, or, where rounding or the target
 * leaves none, the largest value that has weight.
 * @param weights - f32 [n], not negative
 * @param bins - BINS_BYTES bytes of scratch
 * @param candidates - i32 [n] of scratch; then the indices of the values equal to the one found
 */
export function selectByWeight(
  values: usize,
  weights: usize,
  n: i32,
  target: f64,
  bins: usize,
  candidates: usize,
): void {
  search(values, weights, listWeighted(weights, n, candidates), target, bins, candidates);
}

/** Finds the k-th largest of n values, 1 <= k <= n; bins and candidates as above. */
export function selectLargest(values: usize, n: i32, k: i32, bins: usize, candidates: usize): void {
  let count = 0;
  const groups = (n / (4 * GROUP)) * 4;
  if (k < groups) {
    // k groups have a maximum of at least the k-th largest maximum: what is smaller need not be looked at. A tenth of
    // the time of listing all, for 50 of 32,000.
    const list = at(candidates, groups);
    groupMaxima(values, groups, candidates);
    search(candidates, 0, listAll(groups, list), <f64>(groups - k), bins, list);
    count = listAtLeast(values, n, selected, candidates);
  }
  // NaN among the maxima lists too few.
  if (count < k) count = listAll(n, candidates);
  search(values, 0, count, <f64>(count - k), bins, candidates);
}

/** The selection among `count` listed candidates; without weights each counts as 1. */
function search(values: usize, weights: usize, count: i32, target: f64, bins: usize, candidates: usize): void {
  weightBelow = 0;
  countAbove = 0;
  let key: u32 = 0;
  for (let level = 0; level < 3; level++) {
    const shift = level === 0 ? 21 : level === 1 ? 10 : 0;
    const mask: u32 = level === 2 ? 1023 : 2047;
    memory.fill(bins, 0, BINS_BYTES);
    for (let c = 0; c < count; c++) {
      const i = load<i32>(at(candidates, c));
      const bin = bins + ((<usize>((keyOf(load<f32>(at(values, i))) >> shift) & mask)) << 3);
      store<f64>(bin, load<f64>(bin) + (weights ? <f64>load<f32>(at(weights, i)) : 1));
    }
    const bin = crossing(bins, mask, target);
    key |= bin << shift;
    let kept = 0;
    for (let c = 0; c < count; c++) {
      const i = load<i32>(at(candidates, c));
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

/** Lists the indices 0 to n - 1. */
function listAll(n: i32, list: usize): i32 {
  for (let i = 0; i < n; i++) store<i32>(at(list, i), i);
  return n;
}

/** Lists the indices of nonzero weights: after top_k a few of thousands. */
function listWeighted(weights: usize, n: i32, list: usize): i32 {
  let count = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const found = f32x4.ne(v128.load(at(weights, i)), f32x4.splat(0));
    if (v128.any_true(found)) count = append(i32x4.bitmask(found), i, list, count);
  }
  for (; i < n; i++) if (load<f32>(at(weights, i)) !== 0) store<i32>(at(list, count++), i);
  return count;
}

/** Lists the indices of the values that are at least `least`. */
function listAtLeast(values: usize, n: i32, least: f32, list: usize): i32 {
  let count = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const found = f32x4.ge(v128.load(at(values, i)), f32x4.splat(least));
    if (v128.any_true(found)) count = append(i32x4.bitmask(found), i, list, count);
  }
  for (; i < n; i++) if (load<f32>(at(values, i)) >= least) store<i32>(at(list, count++), i);
  return count;
}

/** Appends i + each bit of `lanes` to a list, and returns its length. */
function append(lanes: i32, i: i32, list: usize, count: i32): i32 {
  for (; lanes !== 0; lanes &= lanes - 1) store<i32>(at(list, count++), i + ctz(lanes));
  return count;
}

/** Values of one group: every fourth of 128. */
const GROUP: i32 = 32;

/** The maxima of the groups, a multiple of four of them: f32 [groups] at `maxima`. */
function groupMaxima(values: usize, groups: i32, maxima: usize): void {
  for (let group = 0; group < groups; group += 4) {
    let most = f32x4.splat(-Infinity);
    for (let i = 0; i < GROUP; i++) most = f32x4.max(most, v128.load(at(values, group * GROUP + 4 * i)));
    v128.store(at(maxima, group), most);
  }
}
