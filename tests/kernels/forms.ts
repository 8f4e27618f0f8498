// The two forms of every product, tokens one after another and in tiles, with marks behind whatever they write.
import * as assert from "uvu/assert";
import { type Dot, dots, packArgs, productArgs } from "../../src/kernels/abi.ts";
import { type BlockFormat, rowBytes } from "../../src/quant/formats.ts";
import type { Kernels } from "./harness.ts";

const MARK = 0xdeadbeef;

/** Puts weights so that they end with the memory's last byte: reading beyond them traps. */
export function putLast(k: Kernels, weights: Uint8Array): number {
  const at = k.memory.buffer.byteLength - weights.length;
  k.u8(at, weights.length).set(weights);
  return at;
}

/**
 * The address of x (tokens, cols), packed in two ranges of tokens and of columns, as several threads would pack it. Between
 * its rows x has NaN, and the packed copy had all bits set.
 * @param threshold - of formats whose products need whole rows
 * @param order - which of x's columns each column is; empty: its own
 */
export function pack(
  k: Kernels,
  kind: number,
  x: Float32Array,
  cols: number,
  grain: number,
  threshold?: number,
  order: readonly number[] = [],
): number {
  const tokens = x.length / cols;
  const places = k.alloc(4 * order.length + 4);
  k.u32(places, order.length).set(order);
  const stride = cols + 3;
  const source = k.alloc(4 * tokens * stride);
  k.f32(source, tokens * stride).fill(NaN);
  for (let t = 0; t < tokens; t++) k.f32(source + 4 * t * stride, cols).set(x.subarray(t * cols, (t + 1) * cols));
  const bytes = k.fn.packed_bytes(kind, cols, tokens);
  assert.is(bytes % 16, 0, "packed_bytes is a multiple of 16");
  const dst = k.alloc(bytes + 4);
  k.u8(dst, bytes).fill(255);
  k.u32(dst + bytes, 1)[0] = MARK;
  const first_tokens = Math.min(tokens, grain * Math.ceil(tokens / 2 / grain));
  // What has a threshold is packed by whole rows.
  const first_cols = threshold === undefined ? Math.min(cols, 128 * Math.ceil(cols / 256)) : cols;
  for (const [from, to] of [
    [0, first_tokens],
    [first_tokens, tokens],
  ])
    for (const [col0, col1] of [
      [0, first_cols],
      [first_cols, cols],
    ])
      if (from < to && col0 < col1)
        k.fn.pack(
          k.struct(packArgs, {
            ...{ kind, x: source, stride, tokens, dst, cols, col0, col1, from, to },
            threshold: threshold ?? 0,
            order: order.length && places,
          }),
        );
  assert.is(k.u32(dst + bytes, 1)[0], MARK, "pack wrote beyond its copy");
  return dst;
}

/** A product's out (tokens, rows), without the gap between its rows, in which nothing may be written. */
function multiply(
  k: Kernels,
  form: "matvec" | "matmul",
  f: BlockFormat,
  weights: Uint8Array,
  x: Float32Array,
  cols: number,
  dot: Dot,
  read_ahead: number,
  threshold?: number,
): Float32Array {
  k.reset();
  const rows = weights.length / rowBytes(f, cols);
  const tokens = x.length / cols;
  const [kind, grain] = form === "matvec" ? [k.fn.vec_kind(f.id), 1] : [k.fn.tile_kind(f.id), 4];
  const written = grain * Math.ceil(tokens / grain);
  const out_stride = 4 * Math.ceil(rows / 4) + 4;
  const out = k.alloc(4 * written * out_stride);
  k.u32(out, written * out_stride).fill(MARK);
  const scratch = k.alloc(k.fn.matmul_scratch(cols) + 4);
  const guard = k.u32(scratch + k.fn.matmul_scratch(cols), 1);
  guard[0] = MARK;
  const packed = pack(k, kind, x, cols, grain, threshold);
  const args = { w: putLast(k, weights), x: packed, out, cols, rows, tokens, out_stride, scratch, dot, read_ahead };
  k.fn[`${form}_${f.name.toLowerCase()}`](k.struct(productArgs, args));
  assert.is(guard[0], MARK, `${form} wrote beyond its scratch`);
  const result = new Float32Array(tokens * rows);
  for (let t = 0; t < written; t++) {
    const gap = k.u32(out + 4 * (t * out_stride + rows), out_stride - rows);
    assert.ok(
      gap.every((word) => word === MARK),
      `${form} wrote beyond its rows`,
    );
    if (t < tokens) result.set(k.f32(out + 4 * t * out_stride, rows), t * rows);
  }
  return result;
}

export const byToken = (
  k: Kernels,
  f: BlockFormat,
  weights: Uint8Array,
  x: Float32Array,
  cols: number,
  read_ahead = 0,
  threshold?: number,
) => multiply(k, "matvec", f, weights, x, cols, dots.i16, read_ahead, threshold);

export const byTiles = (
  k: Kernels,
  f: BlockFormat,
  weights: Uint8Array,
  x: Float32Array,
  cols: number,
  dot: Dot = dots.i16,
  read_ahead = 0,
  threshold?: number,
) => multiply(k, "matmul", f, weights, x, cols, dot, read_ahead, threshold);
