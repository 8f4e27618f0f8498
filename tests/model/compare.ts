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
