// What attention_store writes: each position's rows in their pages, rounded as the cache's type says; q8_0 is compared
// with ggml's bytes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type KvFormat, kvFormats, kvRowBytes } from "../../src/memory/kv_pool.ts";
import { fixture, safetensors } from "../fixtures.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { type KvType, PagedSequence, Pool, type Rows } from "./paged.ts";
import { normal } from "./random.ts";
import { nearestHalf, quantizeBlock } from "./stored.ts";
import { half } from "./twin.ts";

const kernels = builds.map((build) => new Kernels(build, 256));

/** Stores (rows, head_dim) values, as keys and as values: their rows' bytes, which must be the same. */
function storeRows(kernel: Kernels, values: Float32Array, head_dim: number, type: KvType): Uint8Array[] {
  const rows = values.length / head_dim;
  const pool = new Pool(kernel, { group: 1, head_dim, window: 0, type }, Math.ceil(rows / 64));
  const sequence = new PagedSequence(pool);
  const input: Rows = { q: new Float32Array(values.length), k: values, v: values };
  sequence.chunk(input);
  return Array.from({ length: rows }, (_, i) => {
    assert.equal(sequence.row("keys", i), sequence.row("values", i), "a key and a value of the same numbers");
    return sequence.row("values", i);
  });
}

const halves = (row: Uint8Array, head_dim: number): Float32Array =>
  Float32Array.from(new Uint16Array(row.buffer, 0, head_dim), half);

test("a row is as long as its type says: f32 and f16 in whole sixteens, q8_0 in blocks", () => {
  const { kv_row_bytes: rowBytes } = kernels[0].fn;
  for (const [head_dim, f32, f16] of [
    [1, 64, 32],
    [16, 64, 32],
    [20, 128, 64],
    [80, 320, 160],
    [128, 512, 256],
  ])
    assert.equal([rowBytes(head_dim, 0), rowBytes(head_dim, 1)], [f32, f16]);
  assert.equal([rowBytes(32, 2), rowBytes(128, 2)], [34, 136]);
  for (const format of Object.keys(kvFormats) as KvFormat[])
    for (let head_dim = 32; head_dim <= 256; head_dim += format === "q8_0" ? 32 : 1)
      assert.is(kvRowBytes(head_dim, format), rowBytes(head_dim, kvFormats[format].id), `${format}, ${head_dim}`);
});

test("rows keep their dims in order, and are padded with zeros", () => {
  for (const kernel of kernels)
    for (const head_dim of [1, 2, 3, 5, 12, 16, 37, 80]) {
      const values = normal(head_dim, 70 * head_dim);
      for (const type of ["f32", "f16"] as const)
        for (const [i, row] of storeRows(kernel, values, head_dim, type).entries()) {
          const own = values.subarray(i * head_dim, (i + 1) * head_dim);
          const got = type === "f32" ? new Float32Array(row.buffer, 0, head_dim) : halves(row, head_dim);
          assert.equal(bits(got), bits(type === "f32" ? own : own.map(nearestHalf)), `${type}, ${head_dim} dims`);
          assert.ok(row.subarray(head_dim * (type === "f32" ? 4 : 2)).every((b) => b === 0));
        }
    }
});

test("f16 is the nearest half, ties to even", () => {
  const values: number[] = [0, 65504, 65519.99, 65520, -65536, 1e30, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, 2 ** -14];
  for (const x of normal(9, 5000))
    values.push(Math.fround(x), Math.fround(x * 2 ** -14), Math.fround(x * 2 ** -20), Math.fround(x * 2 ** 14));
  for (let h = 0; h < 2048; h++) values.push((h + 0.5) * 2 ** -24, 1 + (h + 0.5) / 1024);
  const input = new Float32Array(Math.ceil(values.length / 64) * 64);
  input.set(values);
  for (const kernel of kernels)
    for (const [r, row] of storeRows(kernel, input, 64, "f16").entries())
      for (const [i, bits] of new Uint16Array(row.buffer).entries()) {
        const x = input[64 * r + i];
        const value = (bits & 0x7fff) === 0x7c00 ? (bits & 0x8000 ? -Infinity : Infinity) : half(bits);
        assert.ok(Object.is(value, nearestHalf(x)), `${x} became ${value}, expected ${nearestHalf(x)}`);
      }
});

test("q8_0 has ggml's bytes", () => {
  const { source, packed } = safetensors(fixture("fixtures/gguf/blocks/Q8_0.safetensors")).tensors;
  const [, head_dim] = source.shape;
  for (const kernel of kernels)
    for (const [i, row] of storeRows(kernel, source.data as Float32Array, head_dim, "q8_0").entries())
      for (let block = 0; block < row.length; block += 34) {
        const expected = (packed.data as Uint8Array).slice(i * row.length + block, i * row.length + block + 34);
        // Where the scale underflows to 0 codes do not matter, and ggml's are arbitrary.
        const bytes = expected[0] === 0 && expected[1] === 0 ? 2 : 34;
        assert.equal(row.slice(block, block + bytes), expected.slice(0, bytes), `row ${i}, byte ${block}`);
      }
});

test("q8_0 rounds codes half away from zero", () => {
  const below = 0.5 - 2 ** -25; // the largest float below a half, which adding a half would round up
  const values = new Float32Array(64).fill(127, 0, 1).fill(-127, 32, 33);
  values.set([0.5, -0.5, 1.5, -1.5, 2.5, -2.5, below, -below, 126.5, -126.5], 1);
  values.set([3.5, 4.5, -3.5, -4.5, 1 - 2 ** -24, 100.49999], 33);
  const expected = [0, 32].map((from) => quantizeBlock(values.subarray(from, from + 32)).codes);
  assert.equal(expected[0].slice(0, 11), [127, 1, -1, 2, -2, 3, -3, 0, -0, 127, -127]);
  for (const kernel of kernels) {
    const [row] = storeRows(kernel, values, 64, "q8_0");
    for (const [b, codes] of expected.entries())
      assert.equal(
        [...new Int8Array(row.buffer, 34 * b + 2, 32)],
        codes.map((code) => code + 0),
      );
  }
});

test.run();
