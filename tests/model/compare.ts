// Comparing outputs with what a reference computed.
import * as assert from "uvu/assert";
import type { Tensor } from "../../src/tensor.ts";
import type { Array_ } from "../fixtures.ts";

/** The largest absolute difference over the rows (of `width` values: the last dimension) that count. NaN counts as infinite. */
export function largestDifference(
  found: Tensor,
  expected: Array_,
  counts: (row: number) => boolean = () => true,
  width = expected.shape[expected.shape.length - 1],
): number {
  assert.equal(found.dims, expected.shape);
  let largest = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (!counts(Math.floor(i / width))) continue;
    const difference = Math.abs(Number(found.data[i]) - Number(expected.data[i]));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

/** Whether two float arrays are the same bits. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  const [x, y] = [a, b].map((v) => new Uint32Array(v.slice().buffer));
  return x.every((word, i) => word === y[i]);
}

function logSoftmax(row: Float32Array): Float64Array {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = row.reduce((a, b) => a + Math.exp(b - top), 0);
  return Float64Array.from(row, (x) => x - top - Math.log(sum));
}

/** How far log-probabilities are from the truth: at most, in the root mean square, and the mean divergence of a row. */
export function logProbErrors(
  found: Float32Array,
  truth: Float32Array,
  vocab: number,
): { max_abs: number; rms: number; mean_kl: number } {
  let max_abs = 0;
  let squares = 0;
  let kl = 0;
  for (let at = 0; at < truth.length; at += vocab) {
    const [p, q] = [truth, found].map((values) => logSoftmax(values.slice(at, at + vocab)));
    p.forEach((value, i) => {
      max_abs = Math.max(max_abs, Math.abs(value - q[i]));
      squares += (value - q[i]) ** 2;
      kl += Math.exp(value) * (value - q[i]);
    });
  }
  return { max_abs, rms: Math.sqrt(squares / truth.length), mean_kl: kl / (truth.length / vocab) };
}
