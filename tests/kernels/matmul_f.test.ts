// F32, F16 and BF16: decoding against gguf-py's values, products against float64, and one token against many, bit for bit.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formats } from "../../src/quant/formats.ts";
import { fixture, safetensors } from "../fixtures.ts";
import { byTiles, byToken, pack, putLast } from "./forms.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { normal, uniform } from "./random.ts";
import { NEGLIGIBLE } from "./twin.ts";

type Name = "F32" | "F16" | "BF16";
const names: Name[] = ["F32", "F16", "BF16"];
const eps = 2 ** -24;

/**
 * Roundings that a product's error may be, of |x| · |w|. Any order of summation stays within one for each column; the
 * kernels' lanes and blocks stay within 7 at all widths here.
 */
const SUMS = 16;

const kernels = builds.map((build) => new Kernels(build, 512));

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

  test(`${name} products are within 16 roundings of float64`, () => {
    let worst = 0;
    for (const [packed, y, y_abs] of [
      ["packed", "y", "y_abs"],
      ["random_bytes", "random_y", "random_y_abs"],
    ]) {
      const got = byToken(kernels[0], formats[name], tensors[packed].data as Uint8Array, f32("x"), 1024);
      for (let i = 0; i < got.length; i++) {
        const error = Math.abs(got[i] - f32(y)[i]);
        const bound = SUMS * eps * f32(y_abs)[i];
        assert.ok(error <= bound, `${packed} value ${i}: ${got[i]}, expected ${f32(y)[i]} within ${bound}`);
        if (bound) worst = Math.max(worst, error / bound);
      }
    }
    console.log(`# ${name}: largest error ${worst.toFixed(4)} of the bound 16 · 2^-24 · |x|·|w|`);
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
        const expected = byToken(kernels[0], formats[name], w, x, cols);
        for (const k of kernels) {
          assert.equal(bits(byToken(k, formats[name], w, x, cols)), bits(expected), `matvec ${rows}x${cols}`);
          assert.equal(bits(byToken(k, formats[name], w, x, cols, 1)), bits(expected), `ahead ${rows}x${cols}`);
          assert.equal(
            bits(byTiles(k, formats[name], w, x, cols)),
            bits(expected),
            `matmul ${rows}x${cols}, ${tokens} tokens`,
          );
        }
        const { y, y_abs } = truth(dequantize(kernels[0], name, w), x, cols, rows);
        for (let v = 0; v < y.length; v++) {
          const bound = Math.min(Math.max(cols, 2), SUMS) * eps * y_abs[v] + 1e-44;
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
      const expected = bits(byToken(kernels[0], formats[name], w, x, cols));
      for (const k of kernels) assert.equal(bits(byToken(k, formats[name], w, x, cols, 1)), expected);
      for (const k of kernels) assert.equal(bits(byTiles(k, formats[name], w, x, cols)), expected);
    }
  });
}

test("activations from 2^-64 on count, smaller ones are zero, and none that is packed is subnormal", () => {
  const cols = 192;
  const x = Float32Array.from({ length: cols }, (_, i) => (i % 2 ? -1 : 1) * 1.5 * 2 ** -i);
  for (const name of names) {
    const format = formats[name];
    // Row r has a one in column r: the product is the activation.
    const identity = new Uint8Array(cols * cols * format.block_bytes);
    const ones = { F32: [0x80, 0x3f], F16: [0x00, 0x3c], BF16: [0x80, 0x3f] };
    for (let r = 0; r < cols; r++) identity.set(ones[name], (r * cols + r + 1) * format.block_bytes - 2);
    const edge = [NEGLIGIBLE, NEGLIGIBLE * (1 - 2 ** -24), Infinity];
    for (const k of kernels) {
      for (const product of [byToken, byTiles]) {
        const got = product(k, format, identity, x, cols);
        assert.equal(bits(got), bits(x.map((v) => (Math.abs(v) < NEGLIGIBLE ? 0 : v))), name);
        const ends = edge.map((v) =>
          product(k, format, identity.subarray(0, format.block_bytes), Float32Array.of(v), 1),
        );
        assert.equal([...ends.map(([v]) => v)], [NEGLIGIBLE, 0, Infinity], name);
      }
      for (const kind of [k.fn.vec_kind(format.id), k.fn.tile_kind(format.id)]) {
        k.reset();
        const packed = k.f32(pack(k, kind, x, cols, 4), k.fn.packed_bytes(kind, cols, 1) / 4);
        assert.ok(
          packed.every((v) => v === 0 || Math.abs(v) >= NEGLIGIBLE),
          name,
        );
      }
    }
  }
});

test("a token's result does not depend on the tile's other tokens", () => {
  const w = normal(5, 100 * 6);
  const x = normal(6, 100 * 4);
  const alone = byTiles(kernels[0], formats.F32, new Uint8Array(w.buffer), x.subarray(0, 100), 100);
  x.fill(NaN, 100);
  assert.equal(bits(byTiles(kernels[0], formats.F32, new Uint8Array(w.buffer), x, 100).subarray(0, 6)), bits(alone));
});

test.run();
