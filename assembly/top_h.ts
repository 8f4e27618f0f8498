// top_h: the likeliest tokens whose share of the entropy stays within a limit ("Top-H Decoding", 2025).
//
// With a share of 1 the terms add up to the limit exactly, and rounding alone decides whether the last token stays. So
// the steps are those of Hugging Face's class in float32, down to the order of PyTorch's sum.
import { exp, log } from "./math";
import { maximum } from "./softmax";
import { at } from "./vectors";
import { array, top_n } from "./warpers";

/** Tokens that are looked at, a distribution of their own. */
const MOST_TOKENS: i32 = 100;

/**
 * Keeps the likeliest tokens for as long as their terms -p log p, added up, stay within `share` of the entropy, and at
 * least one. In place on logits f32 [n]; scratch: scratch_bytes(n) bytes.
 */
export function top_h(logits: usize, n: i32, share: f32, scratch: usize): void {
  const most = maximum(logits, n);
  // NaN and infinity are left for the draw to find.
  if (!(most < Infinity)) return;
  // Three lists of `count` values.
  const first = array(scratch, n, 0);
  const terms = array(scratch, n, 1);
  const weighted = array(scratch, n, 2);
  const count = top_n(logits, n, MOST_TOKENS, first, scratch);
  let sum: f64 = 0;
  for (let c = 0; c < count; c++) sum += exponential(logitOf(logits, first, c), most);
  const normalizer: f32 = most + <f32>log(sum);
  for (let c = 0; c < count; c++) {
    const logit = logitOf(logits, first, c);
    const p = <f32>(exponential(logit, most) / sum);
    // 0 log 0 is NaN, and ends the kept ones.
    store<f32>(at(terms, c), p === 0 ? NaN : -p * <f32>log(p));
    store<f32>(at(weighted, c), p === 0 ? 0 : (logit - normalizer) * p);
  }
  const limit: f32 = -sumOfLanes(weighted, count) * share;
  let kept = 1;
  let total: f64 = load<f32>(terms);
  for (; kept < count; kept++) {
    total += <f64>load<f32>(at(terms, kept));
    if (!(<f32>total <= limit)) break;
  }
  for (let c = 0; c < kept; c++) store<f32>(at(terms, c), logitOf(logits, first, c));
  for (let i = 0; i < n; i++) store<f32>(at(logits, i), -Infinity);
  for (let c = 0; c < kept; c++) store<f32>(at(logits, load<i32>(at(first, c))), load<f32>(at(terms, c)));
}

function logitOf(logits: usize, ids: usize, c: i32): f32 {
  return load<f32>(at(logits, load<i32>(at(ids, c))));
}

/** e^(logit - most), 0 where that is far below float32. */
function exponential(logit: f32, most: f32): f64 {
  const x = <f64>logit - <f64>most;
  return x < -200 ? 0 : exp(x);
}

/** A sum in the order of PyTorch's: eight lanes, each of four running sums; the rest of the values first, then the lanes. */
function sumOfLanes(values: usize, count: i32): f32 {
  const rows = count / 8;
  const grouped = (rows / 4) * 4;
  let total: f32 = 0;
  for (let i = 8 * rows; i < count; i++) total += load<f32>(at(values, i));
  for (let lane = 0; lane < 8; lane++) {
    let sum: f32 = 0;
    for (let part = 0; part < 4; part++) {
      let running: f32 = 0;
      for (let row = part; row < grouped; row += 4) running += load<f32>(at(values, 8 * row + lane));
      if (part === 0) for (let row = grouped; row < rows; row++) running += load<f32>(at(values, 8 * row + lane));
      sum += running;
    }
    total += sum;
  }
  return total;
}
