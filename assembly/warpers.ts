// The warpers of sampling, in place on logits f32 [n]: what is removed becomes -infinity, nothing else changes.
// Each follows the class of Hugging Face's of the same name. `keep` is min_tokens_to_keep. Among equal scores of which
// only some stay, those with the lowest ids stay.
//
// scratch: scratch_bytes(n) bytes, a multiple of 16: the bins of the selections, then three arrays of n 32-bit values.
import { exp, log } from "./math";
import { BINS_BYTES, countAbove, countEqual, selectByWeight, selected, selectLargest, weightBelow } from "./select";
import { exponentials, maximum, weightedShift } from "./softmax";
import { at, loadTail, removeBelow, storeTail } from "./vectors";

/** Sums are compared with a tolerance of float32's rounding: a mass that is exactly the limit counts as reached. */
const ROUNDING: f64 = 1.0 / 2097152.0;

function arrayBytes(n: i32): usize {
  return (((<usize>n) << 2) + 15) & ~(<usize>15);
}

/** Bytes of scratch that functions of this module need for n logits. */
export function scratch_bytes(n: i32): usize {
  return BINS_BYTES + 3 * arrayBytes(n);
}

/** One of the three arrays of n 32-bit values in the scratch. */
export function array(scratch: usize, n: i32, which: i32): usize {
  return scratch + BINS_BYTES + <usize>which * arrayBytes(n);
}

/** Divides every score. */
export function temperature(logits: usize, n: i32, value: f32): void {
  const divisor = f32x4.splat(value);
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(at(logits, i), f32x4.div(v128.load(at(logits, i)), divisor));
  if (i < n) storeTail(logits, i, n, f32x4.div(loadTail(logits, i, n, 0), divisor));
}

/** Keeps the k largest scores, and all that equal the smallest of them. */
export function top_k(logits: usize, n: i32, k: i32, scratch: usize): void {
  if (k >= n) return;
  selectLargest(logits, n, k, scratch, array(scratch, n, 0));
  removeBelow(logits, logits, n, selected);
}

/** Removes everything smaller than the value that was selected, and its equals but the first `equals`. */
function keepSelected(logits: usize, values: usize, n: i32, equals: i32, candidates: usize): void {
  removeBelow(logits, values, n, selected);
  for (let c = equals; c < countEqual; c++) store<f32>(at(logits, load<i32>(at(candidates, c))), -Infinity);
}

/** Keeps exactly the `keep` first in the order of values; n of them where there are no more. */
function keepLargest(logits: usize, values: usize, n: i32, keep: i32, scratch: usize): void {
  if (keep >= n) return;
  const candidates = array(scratch, n, 2);
  selectLargest(values, n, keep, scratch, candidates);
  keepSelected(logits, values, n, keep - countAbove, candidates);
}

/** Removes the least likely tokens whose probabilities together are at most 1 - p. */
export function top_p(logits: usize, n: i32, p: f64, keep: i32, scratch: usize): void {
  const e = array(scratch, n, 0);
  const candidates = array(scratch, n, 2);
  const sum = exponentials(logits, n, maximum(logits, n), e);
  const target = (1 - p) * sum * (1 + ROUNDING);
  selectByWeight(logits, e, n, target, scratch, candidates);
  const weight = <f64>load<f32>(at(e, load<i32>(candidates)));
  const removed = min(<i32>Math.floor((target - weightBelow) / weight), countEqual - 1);
  const equals = countEqual - max(removed, 0);
  if (countAbove + equals >= keep) keepSelected(logits, logits, n, equals, candidates);
  else keepLargest(logits, logits, n, keep, scratch);
}

/** Removes tokens less likely than p times the likeliest. */
export function min_p(logits: usize, n: i32, p: f32, keep: i32, scratch: usize): void {
  const e = array(scratch, n, 0);
  exponentials(logits, n, maximum(logits, n), e);
  if (keep > 1 && countAtLeast(e, n, p) < keep) keepLargest(logits, logits, n, keep, scratch);
  else removeBelow(logits, e, n, p);
}

function countAtLeast(values: usize, n: i32, limit: f32): i32 {
  let count = 0;
  for (let i = 0; i < n; i++) count += i32(load<f32>(at(values, i)) >= limit);
  return count;
}

/** Removes tokens of a probability below epsilon; those that equal the `keep`-th largest stay. */
export function epsilon_cutoff(logits: usize, n: i32, epsilon: f64, keep: i32, scratch: usize): void {
  const e = array(scratch, n, 0);
  const sum = exponentials(logits, n, maximum(logits, n), e);
  removeUnlikely(logits, e, n, <f32>(epsilon * sum), keep, scratch);
}

/** The same with a limit that falls with the entropy H: min(epsilon, sqrt(epsilon) * e^-H). */
export function eta_cutoff(logits: usize, n: i32, epsilon: f64, keep: i32, scratch: usize): void {
  const e = array(scratch, n, 0);
  const most = maximum(logits, n);
  const sum = exponentials(logits, n, most, e);
  const entropy = log(sum) - weightedShift(logits, e, n, most) / sum;
  removeUnlikely(logits, e, n, <f32>(min(epsilon, sqrt(epsilon) * exp(-entropy)) * sum), keep, scratch);
}

function removeUnlikely(logits: usize, e: usize, n: i32, limit: f32, keep: i32, scratch: usize): void {
  keep = min(keep, n);
  if (keep === 1) {
    // The largest e is exactly 1.
    removeBelow(logits, e, n, min(limit, 1));
  } else if (countAtLeast(e, n, limit) >= keep) removeBelow(logits, e, n, limit);
  else top_k(logits, n, keep, scratch);
}

/**
 * Keeps the tokens whose surprise -log p is nearest to the entropy, until their probabilities reach `mass`, and all that
 * are as near as the last of them.
 */
export function typical_p(logits: usize, n: i32, mass: f64, keep: i32, scratch: usize): void {
  const e = array(scratch, n, 0);
  const nearness = array(scratch, n, 1);
  const candidates = array(scratch, n, 2);
  const most = maximum(logits, n);
  const sum = exponentials(logits, n, most, e);
  const logSum = log(sum);
  const entropy = logSum - weightedShift(logits, e, n, most) / sum;
  // -log p - H = (log sum + most - x) - H; negated, because the nearest shall be the largest.
  const offset = logSum + <f64>most - entropy;
  for (let i = 0; i < n; i++) {
    store<f32>(at(nearness, i), -(<f32>abs(offset - <f64>load<f32>(at(logits, i)))));
  }
  // Walking down from the nearest until `mass` is reached leaves less than 1 - mass below.
  selectByWeight(nearness, e, n, (1 - mass) * sum * (1 + ROUNDING), scratch, candidates);
  if (keep > 1 && countAbove + countEqual < keep) keepLargest(logits, nearness, n, keep, scratch);
  else removeBelow(logits, nearness, n, selected);
}

/**
 * Indices of the k largest, largest first, the lowest id first among equals: i32 [k] at `out`. Returns how many:
 * min(k, n), or fewer where there are NaN.
 */
export function top_n(logits: usize, n: i32, k: i32, out: usize, scratch: usize): i32 {
  k = min(k, n);
  const candidates = array(scratch, n, 2);
  selectLargest(logits, n, k, scratch, candidates);
  let count = 0;
  for (let i = 0; i < n && count < countAbove; i++)
    if (load<f32>(at(logits, i)) > selected) store<i32>(at(out, count++), i);
  // Shell sort: k is small (beams, or top_h's 100), and ids ascend among equals.
  let gap = 1;
  while (gap < count) gap = 3 * gap + 1;
  for (; gap > 0; gap = gap / 3) {
    for (let i = gap; i < count; i++) {
      const id = load<i32>(at(out, i));
      const score = load<f32>(at(logits, id));
      let j = i - gap;
      for (; j >= 0; j -= gap) {
        const other = load<i32>(at(out, j));
        const compared = load<f32>(at(logits, other));
        if (compared > score || (compared === score && other < id)) break;
        store<i32>(at(out, j + gap), other);
      }
      store<i32>(at(out, j + gap), id);
    }
  }
  // NaN is larger than nothing, and not found above: then there are fewer than k.
  for (let c = 0; c < countEqual && count < k; c++) store<i32>(at(out, count++), load<i32>(at(candidates, c)));
  return count;
}
