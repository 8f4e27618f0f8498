// Rotary positions: frequencies, tables and rotations against float64.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bits, builds, Kernels } from "./harness.ts";
import { PagedSequence, Pool } from "./paged.ts";
import { normal } from "./random.ts";

const kernels = builds.map((build) => new Kernels(build, 16));
const ulp = (x: number) => 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x) || 2 ** -126)), -126) - 23);

/** torch's expression, each step rounded to f32. */
function frequencies(theta: number, dim: number): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, i) => {
    const power = Math.fround(Math.fround(theta) ** Math.fround((2 * i) / dim));
    return Math.fround(1 / power);
  });
}

function inv_freq(k: Kernels, theta: number, dim: number): number {
  k.reset();
  const at = k.alloc(2 * dim);
  k.fn.rope_inv_freq(theta, dim, at);
  return at;
}

test("rope_inv_freq has the bits of the stepwise rounded expression", () => {
  let differ = 0;
  let count = 0;
  for (const theta of [1e6, 1e4, 5e5, 10000.5, 2])
    for (const dim of [2, 6, 16, 64, 80, 96, 128, 256]) {
      const expected = frequencies(theta, dim);
      for (const k of kernels) {
        const got = k.f32(inv_freq(k, theta, dim), dim / 2);
        for (let i = 0; i < dim / 2; i++) {
          // Math.pow is not exact to the last bit either; a rounding may fall otherwise once in millions.
          assert.ok(Math.abs(got[i] - expected[i]) <= ulp(expected[i]), `theta ${theta}, dim ${dim}, ${i}: ${got[i]}`);
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
    const freq = inv_freq(k, 1e6, 2 * half);
    const table = k.alloc(8 * half);
    for (let position = 0; position < 16777216; position += position < 4096 ? 1 : position < 131072 ? 61 : 99991) {
      k.fn.rope_table(position, freq, half, 1, table);
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

test("attention_store rotates halves, and interleaved pairs into halves", () => {
  for (const dim of [1, 2, 4, 5, 6, 8, 10, 16, 50, 128]) {
    const [group, rows, half] = [3, 2, dim >> 1];
    const interleave = (src: Float32Array) =>
      src.map((value, i) => {
        const at = i % dim;
        return at < 2 * half ? src[i - at + (at % 2) * half + (at >> 1)] : value;
      });
    const q = normal(dim, rows * group * dim);
    const k = normal(dim + 1, rows * dim);
    const tables = new Float32Array(rows * dim);
    const positions = [1234, 99];
    /** Heads as the twin rotates them; row i has `heads` of them. */
    const rotated = (src: Float32Array, heads: number): Float32Array => {
      const out = src.slice();
      for (let h = 0; h < rows * heads; h++)
        for (let i = 0; i < half; i++) {
          const [x, y] = [src[h * dim + i], src[h * dim + half + i]];
          const table = Math.floor(h / heads) * dim + i;
          const [c, s] = [tables[table], tables[table + half]];
          out[h * dim + i] = Math.fround(x * c) - Math.fround(y * s);
          out[h * dim + half + i] = Math.fround(y * c) + Math.fround(x * s);
        }
      return out;
    };
    for (const kernel of kernels) {
      const freq = inv_freq(kernel, 1e4, dim);
      const table = kernel.alloc(4 * dim);
      for (const [row, position] of positions.entries()) {
        kernel.fn.rope_table(position, freq, half, 1, table);
        tables.set(kernel.f32(table, dim), row * dim);
      }
      for (const interleaved of [false, true]) {
        const pool = new Pool(kernel, { group, head_dim: dim, window: 0, type: "f32" }, 1);
        const sequence = new PagedSequence(pool);
        const input = interleaved ? { q: interleave(q), k: interleave(k), v: k } : { q, k, v: k };
        const result = sequence.chunk(input, { tables, interleaved });
        assert.equal(bits(result.rotated), bits(rotated(q, group)), `queries, ${dim} dims`);
        for (let row = 0; row < rows; row++) {
          const own = (values: Float32Array) => bits(values.subarray(row * dim, (row + 1) * dim));
          const stored = (part: "keys" | "values") => new Uint32Array(sequence.row(part, row).buffer, 0, dim);
          assert.equal(stored("keys"), own(rotated(k, 1)), `keys, ${dim} dims`);
          assert.equal(stored("values"), own(k), `values, ${dim} dims`);
        }
      }
    }
  }
});

test.run();
