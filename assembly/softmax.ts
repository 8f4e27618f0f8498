// The largest logit, softmax and log-probabilities over logits f32 [n]. Sums are f64 in one fixed order.
import { exp4, log } from "./math";
import { at, loadTail, storeTail } from "./vectors";

/** The largest value; NaN where any value is NaN. */
export function maximum(logits: usize, n: i32): f32 {
  let most = f32x4.splat(-Infinity);
  let other = most;
  let i = 0;
  // Two chains, because max takes several instructions, one waiting for the other.
  for (; i + 8 <= n; i += 8) {
    most = f32x4.max(most, v128.load(at(logits, i)));
    other = f32x4.max(other, v128.load(at(logits, i + 4)));
  }
  most = f32x4.max(most, other);
  for (; i + 4 <= n; i += 4) most = f32x4.max(most, v128.load(at(logits, i)));
  if (i < n) most = f32x4.max(most, loadTail(logits, i, n, -Infinity));
  return max(
    max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
}

function sumLanes(even: v128, odd: v128): f64 {
  return (
    f64x2.extract_lane(even, 0) +
    f64x2.extract_lane(even, 1) +
    (f64x2.extract_lane(odd, 0) + f64x2.extract_lane(odd, 1))
  );
}

function highHalf(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
}

/** out[i] = e^(logits[i] - most), f32 [n]; returns their sum. `most` is the largest logit. */
export function exponentials(logits: usize, n: i32, most: f32, out: usize): f64 {
  const shift = f32x4.splat(most);
  const removed = f32x4.splat(-Infinity);
  const none = f32x4.splat(0);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const x = v128.load(at(logits, i));
    // After top_k nearly every group is removed: one test instead of an exponential.
    if (!v128.any_true(f32x4.ne(x, removed))) {
      v128.store(at(out, i), none);
      continue;
    }
    const e = exp4(f32x4.sub(x, shift));
    v128.store(at(out, i), e);
    low = f64x2.add(low, f64x2.promote_low_f32x4(e));
    high = f64x2.add(high, highHalf(e));
  }
  if (i < n) {
    const e = exp4(f32x4.sub(loadTail(logits, i, n, -Infinity), shift));
    storeTail(out, i, n, e);
    low = f64x2.add(low, f64x2.promote_low_f32x4(e));
    high = f64x2.add(high, highHalf(e));
  }
  return sumLanes(low, high);
}

/** Sum of e[i] * (logits[i] - most) over the entries whose e is not 0: with `sum`, the entropy is log sum - this / sum. */
export function weightedShift(logits: usize, e: usize, n: i32, most: f32): f64 {
  let total: f64 = 0;
  for (let i = 0; i < n; i++) {
    const weight = load<f32>(at(e, i));
    if (weight !== 0) total += <f64>weight * (<f64>load<f32>(at(logits, i)) - <f64>most);
  }
  return total;
}

/** In place: e^x / sum of e^x. Everything removed, or a NaN or +infinity, gives NaN. */
export function softmax(logits: usize, n: i32): void {
  const sum = exponentials(logits, n, maximum(logits, n), logits);
  const factor = 1 / sum;
  for (let i = 0; i < n; i++) store<f32>(at(logits, i), <f32>(<f64>load<f32>(at(logits, i)) * factor));
}

/** In place: x - log of the sum of e^x; `scratch` is f32 [n]. */
export function log_softmax(logits: usize, n: i32, scratch: usize): void {
  const most = maximum(logits, n);
  const normalizer = f64x2.splat(<f64>most + log(exponentials(logits, n, most, scratch)));
  let i = 0;
  for (; i + 2 <= n; i += 2) {
    const x = f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(at(logits, i))), normalizer);
    v128.store64_lane(at(logits, i), f32x4.demote_f64x2_zero(x), 0);
  }
  if (i < n) store<f32>(at(logits, i), <f32>(<f64>load<f32>(at(logits, i)) - f64x2.extract_lane(normalizer, 0)));
}

/** Index of the first of the largest values; -1 where any value is NaN, or all are removed. */
export function argmax(logits: usize, n: i32): i32 {
  const most = maximum(logits, n);
  if (most === -Infinity) return -1;
  const wanted = f32x4.splat(most);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    if (v128.any_true(f32x4.eq(v128.load(at(logits, i)), wanted))) break;
  }
  for (; i < n; i++) if (load<f32>(at(logits, i)) === most) return i;
  return -1;
}
