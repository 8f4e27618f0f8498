// F32, F16 and BF16: decoding against gguf-py's values, products against float64, and one token against many, bit for bit.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formats } from "../../src/quant/formats.ts";
import { fixture, safetensors } from "../fixtures.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { normal, uniform } from "./random.ts";

type Name = "F32" | "F16" | "BF16";
const names: Name[] = ["F32", "F16", "BF16"];
const eps = 2 ** -24;

const kernels = builds.map((build) => new Kernels(build, 512));

/** Puts the weights at the very end of the memory, where reading beyond their last byte traps. */
function putLast(k: Kernels, weights: Uint8Array): number {
  const at = k.memory.buffer.byteLength - weights.byteLength;
  k.u8(at, weights.byteLength).set(weights);
  return at;
}

/** The products of x (tokens, cols) and weights (rows, cols): (tokens, rows), one token at a time. */
function matvec(k: Kernels, name: Name, weights: Uint8Array, x: Float32Array, cols: number, rows: number) {
  k.reset();
  const w = putLast(k, weights);
  const kind = k.fn.vec_kind(formats[name].id);
  const input = k.put(x);
  const packed = k.alloc(k.fn.vec_bytes(kind, cols));
  const out = k.alloc(4 * rows);
  const tokens = x.length / cols;
  const result = new Float32Array(tokens * rows);
  for (let t = 0; t < tokens; t++) {
    // In two parts, as two threads would pack it.
    const middle = Math.min(128, cols);
    k.fn.pack_vec(kind, input + 4 * t * cols, packed, cols, 0, middle);
    if (middle < cols) k.fn.pack_vec(kind, input + 4 * t * cols, packed, cols, middle, cols);
    k.fn[`matvec_${name.toLowerCase()}`](w, packed, out, cols, rows);
    result.set(k.f32(out, rows), t * rows);
  }
  return result;
}

/** The same by tiles of tokens, which `index` picks in reverse order, into rows of a wider output. */
function matmul(k: Kernels, name: Name, weights: Uint8Array, x: Float32Array, cols: number, rows: number) {
  k.reset();
  const w = putLast(k, weights);
  const kind = k.fn.tile_kind(formats[name].id);
  const tokens = x.length / cols;
  const tiles = Math.ceil(tokens / 4);
  const stride = cols + 3;
  const input = k.alloc(4 * tokens * stride);
  k.f32(input, tokens * stride).fill(NaN);
  for (let t = 0; t < tokens; t++)
    k.f32(input + 4 * (tokens - 1 - t) * stride, cols).set(x.subarray(t * cols, (t + 1) * cols));
  const index = k.put(Uint32Array.from({ length: tokens }, (_, t) => tokens - 1 - t));
  const packed = k.alloc(k.fn.tile_bytes(kind, cols, tokens));
  k.u8(packed, k.fn.tile_bytes(kind, cols, tokens)).fill(255);
  const middle = Math.min(128, cols);
  k.fn.pack_tile(kind, input, stride, index, tokens, packed, cols, 0, middle, 0, tiles);
  if (middle < cols) k.fn.pack_tile(kind, input, stride, index, tokens, packed, cols, middle, cols, 0, tiles);
  const outStride = Math.ceil(rows / 4) * 4 + 4;
  const out = k.alloc(4 * tiles * 4 * outStride);
  const scratch = k.alloc(k.fn.matmul_scratch(cols));
  k.fn[`matmul_${name.toLowerCase()}`](w, packed, out, cols, rows, tokens, outStride, scratch);
  const result = new Float32Array(tokens * rows);
  for (let t = 0; t < tokens; t++) result.set(k.f32(out + 4 * t * outStride, rows), t * rows);
  return result;
}

function dequantize(k: Kernels, name: Name, weights: Uint8Array): Float32Array {
  k.reset();
  const count = weights.byteLength / formats[name].block_bytes;
  const out = k.alloc(4 * count);
  k.fn[`dequantize_${name.toLowerCase()}`](putLast(k, weights), out, count);
  return k.f32(out, count).slice();
}

/** x · weightsᵀ and |x| · |weights|ᵀ in float64. */
function truth(weights: Float32Array, x: Float32Array, cols: number, rows: number) {
  const y: number[] = [];
  const y_abs: number[] = [];
  for (let t = 0; t < x.length / cols; t++) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      let abs = 0;
      for (let c = 0; c < cols; c++) {
        sum += weights[r * cols + c] * x[t * cols + c];
        abs += Math.abs(weights[r * cols + c] * x[t * cols + c]);
      }
      y.push(sum);
      y_abs.push(abs);
    }
  }
  return { y, y_abs };
}

for (const name of ["F16", "BF16"] as const) {
  const { tensors } = safetensors(fixture(`fixtures/gguf/blocks/${name}.safetensors`));
  const f32 = (key: string) => tensors[key].data as Float32Array;

  test(`${name} decodes to gguf-py's bits`, () => {
    for (const k of kernels) {
      assert.equal(bits(dequantize(k, name, tensors.packed.data as Uint8Array)), bits(f32("dequantized")));
      assert.equal(bits(dequantize(k, name, tensors.random_bytes.data as Uint8Array)), bits(f32("random_dequantized")));
    }
  });

  test(`${name} products are within the order-of-summation bound of float64`, () => {
    let worst = 0;
    for (const [packed, y, y_abs] of [
      ["packed", "y", "y_abs"],
      ["random_bytes", "random_y", "random_y_abs"],
    ]) {
      const rows = tensors[packed].shape[0];
      const got = matvec(kernels[0], name, tensors[packed].data as Uint8Array, f32("x"), 1024, rows);
      for (let i = 0; i < got.length; i++) {
        const error = Math.abs(got[i] - f32(y)[i]);
        const bound = 1024 * eps * f32(y_abs)[i];
        assert.ok(error <= bound, `${packed} value ${i}: ${got[i]}, expected ${f32(y)[i]} within ${bound}`);
        if (bound) worst = Math.max(worst, error / bound);
      }
    }
    console.log(`# ${name}: largest error ${worst.toFixed(4)} of the bound 1024 · 2^-24 · |x|·|w|`);
  });
}

test("every half decodes to its exact value, infinities and NaN too", () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const k of kernels) {
    const got = dequantize(k, "F16", new Uint8Array(halves.buffer));
    for (let h = 0; h < 65536; h++) {
      const exponent = (h >> 10) & 31;
      const fraction = h & 1023;
      const magnitude =
        exponent === 31
          ? fraction
            ? NaN
            : Infinity
          : exponent
            ? (1 + fraction / 1024) * 2 ** (exponent - 15)
            : fraction * 2 ** -24;
      const expected = h & 0x8000 ? -magnitude : magnitude;
      assert.ok(Object.is(got[h], expected), `half ${h.toString(16)}: ${got[h]}, expected ${expected}`);
    }
  }
});

const widths = [1, 2, 3, 5, 8, 31, 32, 33, 37, 50, 64, 100, 127, 129, 256, 300, 1000];

for (const name of names) {
  /** Weights as bytes, with their exact values: ordinary ones, subnormals of the type, zeros and large ones. */
  const weights = (seed: number, count: number) => {
    const values = normal(seed, count, 0.05);
    const pick = uniform(seed + 1);
    for (let i = 0; i < count; i++) {
      const p = pick();
      if (p < 0.02) values[i] *= 2 ** -13;
      else if (p < 0.03) values[i] = 0;
      else if (p < 0.04) values[i] *= 1000;
    }
    if (name === "F32") return new Uint8Array(values.buffer);
    const words = new Uint32Array(values.buffer);
    const short = Uint16Array.from(words, (w, i) => {
      if (name === "BF16") return w >>> 16;
      const units = Math.round(Math.abs(values[i]) * 2 ** 24); // few bits: a subnormal half, or one below 2^-13
      return units < 2048
        ? ((w >>> 16) & 0x8000) | units
        : ((w >>> 16) & 0x8000) | (((w & 0x7fffffff) >>> 13) - (112 << 10));
    });
    return new Uint8Array(short.buffer);
  };

  test(`${name}: one token and many, plain and relaxed, have the same bits at any size`, () => {
    let worst = 0;
    for (const [i, cols] of widths.entries()) {
      for (const rows of [1, 2, 5]) {
        const tokens = 1 + ((i + rows) % 9);
        const w = weights(cols * 10 + rows, cols * rows);
        const x = normal(cols + 7, tokens * cols);
        const expected = matvec(kernels[0], name, w, x, cols, rows);
        for (const k of kernels) {
          assert.equal(bits(matvec(k, name, w, x, cols, rows)), bits(expected), `matvec ${rows}x${cols}`);
          assert.equal(
            bits(matmul(k, name, w, x, cols, rows)),
            bits(expected),
            `matmul ${rows}x${cols}, ${tokens} tokens`,
          );
        }
        const { y, y_abs } = truth(dequantize(kernels[0], name, w), x, cols, rows);
        for (let v = 0; v < y.length; v++) {
          const bound = Math.max(cols, 2) * eps * y_abs[v] + 1e-44;
          assert.ok(
            Math.abs(expected[v] - y[v]) <= bound,
            `${rows}x${cols}: ${expected[v]}, expected ${y[v]} within ${bound}`,
          );
          worst = Math.max(worst, Math.abs(expected[v] - y[v]) / (eps * y_abs[v] || 1));
        }
      }
    }
    console.log(`# ${name}: largest error ${worst.toFixed(2)} · 2^-24 · |x|·|w| over ${widths.length} widths`);
  });

  test(`${name}: several panels of rows, and wide rows`, () => {
    for (const [cols, rows, tokens] of [
      [64, 71, 9],
      [2048, 67, 5],
      [14336, 9, 4],
    ]) {
      const w = weights(rows, cols * rows);
      const x = normal(rows, tokens * cols);
      const expected = bits(matvec(kernels[0], name, w, x, cols, rows));
      for (const k of kernels) assert.equal(bits(matmul(k, name, w, x, cols, rows)), expected);
    }
  });
}

test("a token's result does not depend on the tile's other tokens", () => {
  const w = normal(5, 100 * 6);
  const x = normal(6, 100 * 4);
  const alone = matmul(kernels[0], "F32", new Uint8Array(w.buffer), x.subarray(0, 100), 100, 6);
  x.fill(NaN, 100);
  assert.equal(bits(matmul(kernels[0], "F32", new Uint8Array(w.buffer), x, 100, 6).subarray(0, 6)), bits(alone));
});

test.run();
