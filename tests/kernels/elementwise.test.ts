// Norm, residual additions and gates against float64 twins, at odd widths, with what lies between rows left alone.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addRowsArgs } from "../../src/kernels/abi.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { normal } from "./random.ts";
import { NEGLIGIBLE } from "./twin.ts";

const kernels = builds.map((build) => new Kernels(build, 64));
const widths = [1, 3, 4, 7, 16, 17, 31, 50, 128, 1001];

/** A matrix of rows `stride` apart; the gaps hold a mark that must survive. */
function spread(values: Float32Array, rows: number, cols: number, stride: number): Float32Array {
  const out = new Float32Array(rows * stride).fill(-77);
  for (let r = 0; r < rows; r++) out.set(values.subarray(r * cols, (r + 1) * cols), r * stride);
  return out;
}

/** The distance of an f32 from a float64 truth, in units of the truth's last place. */
function ulps(got: number, truth: number): number {
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(truth) || 2 ** -126)), -126);
  return Math.abs(got - truth) / 2 ** (exponent - 23);
}

test("rms_norm is within 2e-6 of float64, in place too", () => {
  let worst = 0;
  for (const cols of widths) {
    const rows = 3;
    const x = normal(cols, rows * cols, 3);
    const weight = normal(cols + 1, cols);
    const results = kernels.flatMap((k) => {
      k.reset();
      const source = k.put(x);
      const target = k.alloc(4 * rows * cols + 4);
      k.f32(target, rows * cols + 1)[rows * cols] = -77;
      const w = k.put(weight);
      k.fn.rms_norm(source, w, target, rows, cols, 1e-5);
      k.fn.rms_norm(source, w, source, rows, cols, 1e-5);
      assert.is(k.f32(target, rows * cols + 1)[rows * cols], -77);
      return [k.f32(source, rows * cols).slice(), k.f32(target, rows * cols).slice()];
    });
    for (const result of results) assert.equal(bits(result), bits(results[0]));
    for (let r = 0; r < rows; r++) {
      let squares = 0;
      for (let c = 0; c < cols; c++) squares += x[r * cols + c] ** 2;
      for (let c = 0; c < cols; c++) {
        const got = results[0][r * cols + c];
        const truth = (x[r * cols + c] / Math.sqrt(squares / cols + Math.fround(1e-5))) * weight[c];
        const error = Math.abs(got - truth) / Math.abs(truth);
        assert.ok(error < 2e-6, `width ${cols}: ${got}, expected ${truth}`);
        worst = Math.max(worst, error);
      }
    }
  }
  console.log(`# rms_norm: largest relative error ${worst.toExponential(2)}`);
});

test("add_rows adds scaled rows at their index, with f32's two roundings", () => {
  for (const cols of widths) {
    const stride = cols + 3;
    const dst = normal(1, 5 * stride);
    const src = normal(2, 3 * cols);
    const scale = normal(3, 3);
    const index = Uint32Array.of(4, 0, 2);
    for (const k of kernels)
      for (const [withIndex, withScale] of [
        [1, 1],
        [0, 1],
        [1, 0],
        [0, 0],
      ]) {
        k.reset();
        const to = k.put(dst);
        const args = k.struct(addRowsArgs, {
          dst: to,
          dst_stride: stride,
          index: withIndex * k.put(index),
          src: k.put(src),
          src_stride: cols,
          scale: withScale * k.put(scale),
          tokens: 3,
          cols,
        });
        k.fn.add_rows(args);
        const expected = dst.slice();
        for (let t = 0; t < 3; t++)
          for (let c = 0; c < cols; c++) {
            const at = (withIndex ? index[t] : t) * stride + c;
            expected[at] += Math.fround((withScale ? scale[t] : 1) * src[t * cols + c]);
          }
        assert.equal(bits(k.f32(to, dst.length)), bits(expected));
      }
  }
});

/** erf by its series of positive terms, good to float64 where |x| < 6. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** The normal distribution function at -z, z > 3, by its continued fraction. */
function tail(z: number): number {
  let below = z;
  for (let n = 60; n > 0; n--) below = z + n / below;
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI) / below;
}

const activations = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => x * (x < -3 ? tail(-x) : 0.5 * (1 + erf(x / Math.SQRT2))),
};

for (const [name, activation] of Object.entries(activations)) {
  test(`${name}_mul is within 3 units in the last place of float64`, () => {
    // Down to where they are negligible.
    const low = name === "silu" ? -44 : -8.5;
    const high = name === "silu" ? 80 : 8;
    const cols = 4001;
    const gate = Float32Array.from({ length: 2 * cols }, (_, i) => low + ((high - low) * i) / (2 * cols - 1));
    const up = new Float32Array(2 * cols).fill(1);
    const stride = cols + 3;
    const results = kernels.map((k) => {
      k.reset();
      const at = k.put(spread(gate, 2, cols, stride));
      k.fn[`${name}_mul`](at, k.put(spread(up, 2, cols, stride)), 2, cols, stride);
      return k.f32(at, 2 * stride).slice();
    });
    assert.equal(bits(results[1]), bits(results[0]));
    let worst = 0;
    for (let t = 0; t < 2; t++)
      for (let c = 0; c < stride; c++) {
        const got = results[0][t * stride + c];
        if (c >= cols) assert.is(got, -77);
        else {
          const x = gate[t * cols + c];
          const error = ulps(got, activation(x));
          assert.ok(error < 3, `${name}(${x}): ${got}, expected ${activation(x)}`);
          worst = Math.max(worst, error);
        }
      }
    console.log(`# ${name}: largest error ${worst.toFixed(2)} units in the last place`);
  });

  test(`${name}_mul at its ends: zeros, far values, infinity, NaN`, () => {
    for (const k of kernels) {
      k.reset();
      const at = k.put(Float32Array.of(0, -0, -200, 200, -3e38, 3e38, Infinity, NaN, -1e-40));
      k.fn[`${name}_mul`](at, k.put(new Float32Array(9).fill(2)), 1, 9, 12);
      const [zero, negative, far, high, lowest, highest, infinite, nan, tiny] = k.f32(at, 9);
      assert.is(zero, 0);
      assert.is(negative, -0);
      assert.ok(far <= 0 && far > -1e-37);
      assert.is(high, 400);
      assert.ok(lowest <= 0 && lowest > -1e-37);
      assert.is(highest, Infinity);
      assert.is(infinite, Infinity);
      assert.ok(Number.isNaN(nan));
      assert.is(tiny, 0);
    }
  });

  test(`${name}_mul gives zero where it is negligible, and never a subnormal number`, () => {
    const cols = 4000;
    const gate = Float32Array.from({ length: cols }, (_, i) => 1 - i / 30); // to -132
    const up = normal(1, cols).map((v, i) => v * 2 ** -(i % 40));
    const results = kernels.map((k) => {
      k.reset();
      const at = k.put(gate);
      k.fn[`${name}_mul`](at, k.put(up), 1, cols, cols);
      return k.f32(at, cols).slice();
    });
    assert.equal(bits(results[1]), bits(results[0]));
    for (const [i, got] of results[0].entries()) {
      assert.ok(got === 0 || Math.abs(got) >= NEGLIGIBLE, `${name}(${gate[i]}) · ${up[i]}: ${got}`);
      // Near the bound a rounding may decide.
      const truth = activation(gate[i]);
      const counts = Math.min(Math.abs(truth), Math.abs(truth * up[i])) / NEGLIGIBLE;
      if (counts > 1.001) assert.ok(got !== 0, `${name}(${gate[i]}) · ${up[i]}`);
      if (counts < 0.999) assert.is(got, 0);
    }
  });
}

test.run();
