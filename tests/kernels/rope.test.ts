// Rotary positions: frequencies, tables and rotations against float64.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bits, builds, Kernels } from "./harness.ts";
import { normal } from "./random.ts";

const kernels = builds.map((build) => new Kernels(build, 16));
const ulp = (x: number) => 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x) || 2 ** -126)), -126) - 23);

/** torch's expression, each step rounded to f32. */
function frequencies(theta: number, factor: number, dim: number): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, i) => {
    const power = Math.fround(Math.fround(theta) ** Math.fround((2 * i) / dim));
    return Math.fround(1 / power) / factor;
  });
}

function inv_freq(k: Kernels, theta: number, factor: number, dim: number): number {
  k.reset();
  const at = k.alloc(2 * dim);
  k.fn.rope_inv_freq(theta, factor, dim, at);
  return at;
}

test("rope_inv_freq has the bits of the stepwise rounded expression", () => {
  let differ = 0;
  let count = 0;
  for (const theta of [1e6, 1e4, 5e5, 10000.5, 2])
    for (const factor of [1, 4])
      for (const dim of [2, 6, 16, 64, 80, 96, 128, 256]) {
        const expected = frequencies(theta, factor, dim);
        for (const k of kernels) {
          const got = k.f32(inv_freq(k, theta, factor, dim), dim / 2);
          for (let i = 0; i < dim / 2; i++) {
            // Math.pow is not exact to the last bit either; a rounding may fall otherwise once in millions.
            assert.ok(
              Math.abs(got[i] - expected[i]) <= ulp(expected[i]),
              `theta ${theta}, dim ${dim}, ${i}: ${got[i]}`,
            );
            count++;
            if (got[i] !== expected[i]) differ++;
          }
        }
      }
  assert.ok(differ === 0, `${differ} of ${count} frequencies differ`);
});

test("rope_table is right to the last bit at positions up to 131072 and beyond", () => {
  let differ = 0;
  let count = 0;
  for (const k of kernels) {
    const half = 64;
    const freq = inv_freq(k, 1e6, 1, 2 * half);
    const table = k.alloc(8 * half);
    for (let position = 0; position < 16777216; position += position < 4096 ? 1 : position < 131072 ? 61 : 99991) {
      k.fn.rope_table(position, freq, half, table);
      const values = k.f32(table, 2 * half);
      for (let i = 0; i < half; i++) {
        const angle = Math.fround(position * k.f32(freq, half)[i]);
        for (const [got, truth] of [
          [values[i], Math.cos(angle)],
          [values[half + i], Math.sin(angle)],
        ]) {
          assert.ok(
            Math.abs(got - truth) <= 0.5001 * ulp(truth),
            `position ${position}, ${i}: ${got}, expected ${truth}`,
          );
          count++;
          if (got !== Math.fround(truth)) differ++;
        }
      }
    }
  }
  assert.ok(differ <= count / 1e5, `${differ} of ${count} values are not the nearest f32`);
  console.log(`# rope_table: ${differ} of ${count} values differ from the rounded float64 truth`);
});

test("rope rotates halves, and interleaved pairs into halves", () => {
  for (const dim of [2, 4, 6, 8, 10, 16, 50, 128]) {
    const heads = 3;
    const half = dim / 2;
    const src = normal(dim, heads * dim);
    const interleaved = src.map((_, i) => {
      const at = i % dim;
      return src[i - at + (at % 2) * half + (at >> 1)];
    });
    const results = kernels.flatMap((k) => {
      const freq = inv_freq(k, 1e4, 1, dim);
      const table = k.alloc(4 * dim);
      k.fn.rope_table(1234, freq, half, table);
      const [a, b] = [k.alloc(4 * heads * dim), k.alloc(4 * heads * dim)];
      k.fn.rope(k.put(src), a, table, heads, dim, 0);
      k.fn.rope(k.put(interleaved), b, table, heads, dim, 1);
      const cosines = k.f32(table, dim);
      for (let h = 0; h < heads; h++)
        for (let i = 0; i < half; i++) {
          const [x, y] = [src[h * dim + i], src[h * dim + half + i]];
          const [c, s] = [cosines[i], cosines[half + i]];
          const first = Math.fround(Math.fround(x * c) - Math.fround(y * s));
          const second = Math.fround(Math.fround(y * c) + Math.fround(x * s));
          assert.is(k.f32(a, heads * dim)[h * dim + i], first);
          assert.is(k.f32(a, heads * dim)[h * dim + half + i], second);
        }
      return [k.f32(a, heads * dim).slice(), k.f32(b, heads * dim).slice()];
    });
    for (const result of results) assert.equal(bits(result), bits(results[0]));
  }
});

test.run();
