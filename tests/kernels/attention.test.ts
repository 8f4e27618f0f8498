// Attention over the rolling cache: values against float64, the window rule against transformers' masks, and the same bits
// however a sequence is cut into chunks.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { json } from "../fixtures.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { normal } from "./random.ts";

const kernels = builds.map((build) => new Kernels(build, 256));

interface Shape {
  length: number; // of the sequence
  group: number;
  head_dim: number;
  window: number; // 0: none
  slots: number; // of the ring
  type: 0 | 1; // f32, f16
}

/** A sequence's rotated queries (length, group, head_dim), keys and values (length, head_dim). */
interface Sequence {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
}

const sequence = ({ length, group, head_dim }: Shape, seed: number): Sequence => ({
  q: normal(seed, length * group * head_dim, 1.5),
  k: normal(seed + 1, length * head_dim, 1.5),
  v: normal(seed + 2, length * head_dim),
});

/** Stores values as the cache does, at `to`. */
function store(kernel: Kernels, values: Float32Array, to: number, type: number): void {
  const scratch = kernel.put(values);
  kernel.fn.store_kv(scratch, to, values.length, type);
}

/** AttentionArgs, as cpp/kernels.h lays it out. */
function attentionArgs(
  kernel: Kernels,
  shape: Shape,
  at: Record<string, number>,
  first: number,
  row0: number,
  row1: number,
): number {
  const { group, head_dim, slots, window, type } = shape;
  const args = kernel.alloc(80);
  kernel
    .u32(args, 18)
    .set([
      at.q,
      at.out,
      at.ring_k,
      at.ring_v,
      at.chunk_k,
      at.chunk_v,
      at.q_stride,
      at.q_stride,
      at.chunk_stride,
      group,
      head_dim,
      first,
      row0,
      row1,
      slots,
      window,
      type,
    ]);
  kernel.f32(args + 68, 1)[0] = head_dim ** -0.5;
  kernel.u32(args + 72, 1)[0] = at.scratch;
  return args;
}

/**
 * Attention of the whole sequence, fed in chunks of the given sizes; each chunk's rows are computed in `parts` calls.
 * Slots never written, and the chunk's rows past its end, hold NaN. Returns (length, group, head_dim).
 */
function attend(kernel: Kernels, shape: Shape, { q, k, v }: Sequence, chunks: number[], parts = 1): Float32Array {
  kernel.reset();
  const { group, head_dim, slots, type } = shape;
  const size = type === 1 ? 2 : 4;
  const width = group * head_dim;
  const q_stride = Math.ceil(width / 4) * 4 + 4;
  const chunk_stride = Math.ceil(head_dim / 8) * 8 + 8;
  const most = Math.max(...chunks);
  const at = {
    q: kernel.alloc(4 * most * q_stride),
    out: kernel.alloc(4 * most * q_stride),
    ring_k: kernel.alloc(slots * head_dim * size),
    ring_v: kernel.alloc(slots * head_dim * size),
    chunk_k: kernel.alloc((most + 1) * chunk_stride * size),
    chunk_v: kernel.alloc((most + 1) * chunk_stride * size),
    q_stride,
    chunk_stride,
    scratch: kernel.alloc(kernel.fn.attention_scratch(group, head_dim)),
  };
  const guard = kernel.alloc(64);
  kernel.u8(guard, 64).fill(0xa5);
  for (const ring of [at.ring_k, at.ring_v]) kernel.u8(ring, slots * head_dim * size).fill(255);
  const result = new Float32Array(shape.length * width);
  const mark = kernel.alloc(0);
  let first = 0;
  for (const rows of chunks) {
    kernel.u8(at.chunk_k, (most + 1) * chunk_stride * size).fill(255);
    kernel.u8(at.chunk_v, (most + 1) * chunk_stride * size).fill(255);
    kernel.f32(at.out, most * q_stride).fill(-77);
    for (let i = 0; i < rows; i++) {
      const p = first + i;
      kernel.f32(at.q + 4 * i * q_stride, width).set(q.subarray(p * width, (p + 1) * width));
      store(kernel, k.subarray(p * head_dim, (p + 1) * head_dim), at.chunk_k + i * chunk_stride * size, type);
      store(kernel, v.subarray(p * head_dim, (p + 1) * head_dim), at.chunk_v + i * chunk_stride * size, type);
    }
    for (let part = 0; part < parts; part++) {
      const row0 = Math.floor((rows * part) / parts);
      const row1 = Math.floor((rows * (part + 1)) / parts);
      kernel.fn.attention(attentionArgs(kernel, shape, at, first, row0, row1));
    }
    for (let i = 0; i < rows; i++) {
      const slot = (first + i) % slots;
      for (const [from, to] of [
        [at.chunk_k, at.ring_k],
        [at.chunk_v, at.ring_v],
      ])
        kernel
          .u8(to + slot * head_dim * size, head_dim * size)
          .set(kernel.u8(from + i * chunk_stride * size, head_dim * size));
      result.set(kernel.f32(at.out + 4 * i * q_stride, width), (first + i) * width);
      assert.ok(
        kernel.f32(at.out + 4 * (i * q_stride + width), q_stride - width).every((x) => x === -77),
        "wrote beside a row",
      );
    }
    first += rows;
    rewind(kernel, mark);
  }
  assert.ok(
    kernel.u8(guard, 64).every((b) => b === 0xa5),
    "wrote beyond attention_scratch",
  );
  return result;
}

/** Frees what was allocated after `mark`. */
function rewind(kernel: Kernels, mark: number): void {
  kernel.reset();
  kernel.alloc(mark - kernel.alloc(0));
}

/** Keys and values as the cache holds them. */
function stored(kernel: Kernels, values: Float32Array, type: number): Float32Array {
  if (type === 0) return values;
  kernel.reset();
  const at = kernel.alloc(2 * values.length);
  store(kernel, values, at, 1);
  const out = kernel.alloc(4 * values.length);
  kernel.fn.dequantize_f16(at, out, values.length);
  return kernel.f32(out, values.length).slice();
}

/** The plain twin in float64: softmax over all visible keys at once. */
function truth(shape: Shape, { q, k, v }: Sequence): Float64Array {
  const { length, group, head_dim, window } = shape;
  const out = new Float64Array(length * group * head_dim);
  for (let p = 0; p < length; p++)
    for (let g = 0; g < group; g++) {
      const row = (p * group + g) * head_dim;
      const begin = window ? Math.max(0, p - window + 1) : 0;
      const scores: number[] = [];
      for (let j = begin; j <= p; j++) {
        let dot = 0;
        for (let d = 0; d < head_dim; d++) dot += q[row + d] * k[j * head_dim + d];
        scores.push(dot / Math.sqrt(head_dim));
      }
      const max = Math.max(...scores);
      const exps = scores.map((s) => Math.exp(s - max));
      const sum = exps.reduce((a, b) => a + b, 0);
      for (let j = begin; j <= p; j++)
        for (let d = 0; d < head_dim; d++) out[row + d] += (exps[j - begin] / sum) * v[j * head_dim + d];
    }
  return out;
}

const shapes: Shape[] = [];
for (const type of [0, 1] as const)
  for (const [length, group, head_dim, window, slots] of [
    [1, 1, 1, 0, 1],
    [130, 4, 16, 0, 200],
    [200, 4, 32, 0, 200],
    [200, 2, 16, 10, 10],
    [200, 3, 20, 64, 64],
    [150, 1, 37, 50, 50],
    [210, 5, 4, 100, 128],
    [90, 8, 128, 70, 70],
    [70, 40, 6, 33, 40],
    [260, 2, 80, 129, 131],
  ])
    shapes.push({ length, group, head_dim, window, slots, type });

const describe = (s: Shape) =>
  `${s.length} rows, group ${s.group}, head_dim ${s.head_dim}, window ${s.window}, ${s.slots} slots, ${s.type ? "f16" : "f32"}`;

/** Ways to cut a sequence: one chunk, single rows, sevens, blocks, and a long first chunk with single rows after it. */
function cuts(length: number): number[][] {
  const even = (size: number) =>
    Array.from({ length: Math.ceil(length / size) }, (_, i) => Math.min(size, length - i * size));
  const head = Math.ceil(length * 0.7);
  return [[length], even(1), even(7), even(64), [head, ...Array(length - head).fill(1)]];
}

test("attention is within 4e-6 of float64, and a cut changes no bit", () => {
  let worst = 0;
  for (const [i, shape] of shapes.entries()) {
    const input = sequence(shape, 100 * i);
    const expected = attend(kernels[0], shape, input, [shape.length]);
    const exact = truth(shape, {
      q: input.q,
      k: stored(kernels[0], input.k, shape.type),
      v: stored(kernels[0], input.v, shape.type),
    });
    for (const [at, value] of expected.entries()) {
      const error = Math.abs(value - exact[at]);
      assert.ok(error <= 4e-6, `${describe(shape)}: value ${at} is ${value}, expected ${exact[at]}`);
      worst = Math.max(worst, error);
    }
    for (const kernel of kernels)
      for (const chunks of cuts(shape.length))
        for (const parts of [1, 3])
          assert.equal(
            bits(attend(kernel, shape, input, chunks, parts)),
            bits(expected),
            `${describe(shape)}, chunks of ${chunks[0]}, ${parts} parts`,
          );
  }
  console.log(`# attention: largest error ${worst.toExponential(2)} over ${shapes.length} shapes (values about 1)`);
});

test("later rows of a chunk, even NaN, do not reach earlier queries", () => {
  const shape: Shape = { length: 100, group: 2, head_dim: 16, window: 0, slots: 100, type: 0 };
  const input = sequence(shape, 1);
  const clean = attend(kernels[0], shape, input, [100]);
  for (const values of [input.k, input.v]) values.fill(NaN, 60 * 16);
  const poisoned = attend(kernels[0], shape, input, [100]);
  assert.equal(bits(poisoned.subarray(0, 60 * 32)), bits(clean.subarray(0, 60 * 32)));
  assert.ok(poisoned.subarray(60 * 32).every(Number.isNaN));
});

test("queries see the keys that transformers' masks show", () => {
  // A key's value is one-hot in its index and all scores are equal, so the output names the visible keys.
  let checked = 0;
  for (const { window, updates, steps } of json("fixtures/cache/cache.json").cases) {
    const length = updates.reduce((a: number, b: number) => a + b, 0);
    const shape: Shape = { length, group: 1, head_dim: length, window: window ?? 0, slots: window ?? length, type: 0 };
    const v = new Float32Array(length * length);
    for (let j = 0; j < length; j++) v[j * length + j] = 1;
    const zeros = new Float32Array(length * length);
    const out = attend(kernels[0], shape, { q: zeros, k: zeros, v }, updates);
    const visible: number[][] = steps.flatMap((step: { visible: number[][] }) => step.visible);
    for (let p = 0; p < length; p++) {
      const row = out.subarray(p * length, (p + 1) * length);
      const seen = [...row.keys()].filter((j) => row[j] > 0);
      assert.equal(
        seen,
        [...visible[p]].sort((a, b) => a - b),
      );
      for (const j of seen) assert.ok(Math.abs(row[j] - 1 / seen.length) < 1e-6);
      checked++;
    }
  }
  console.log(`# window rule: ${checked} queries of transformers' cases`);
});

test("infinite and NaN halves of the cache stay what they are", () => {
  const shape: Shape = { length: 70, group: 2, head_dim: 20, window: 0, slots: 70, type: 1 };
  const input = sequence(shape, 7);
  input.q.fill(1);
  input.k[30 * 20 + 2] = -1e5; // a score of -Infinity: key 30 has no weight
  const without = { ...input, v: input.v.slice() };
  without.v.fill(123, 30 * 20, 31 * 20);
  assert.equal(bits(attend(kernels[0], shape, input, [70])), bits(attend(kernels[0], shape, without, [70])));
  input.v[3 * 20 + 5] = -1e5;
  input.v[65 * 20 + 17] = NaN;
  const out = attend(kernels[0], shape, input, [70]);
  for (const [at, value] of out.entries()) {
    const p = Math.floor(at / 40);
    if (p >= 3 && at % 20 === 5) assert.is(value, -Infinity);
    else assert.is(Number.isNaN(value), p >= 65 && at % 20 === 17, `row ${p}, dim ${at % 20}: ${value}`);
  }
});

test("extreme scores neither overflow nor lose the largest key", () => {
  const shape: Shape = { length: 130, group: 1, head_dim: 4, window: 0, slots: 130, type: 0 };
  const q = new Float32Array(130 * 4).fill(1000);
  const k = Float32Array.from({ length: 130 * 4 }, (_, i) => (i >> 2 === 5 ? 1000 : -1000 + (i >> 2)));
  const v = Float32Array.from({ length: 130 * 4 }, (_, i) => i >> 2);
  const out = attend(kernels[0], shape, { q, k, v }, [130]);
  for (let p = 0; p < 130; p++) assert.is(out[p * 4], Math.min(p, 5));
});

test("store_kv rounds to the nearest half, ties to even", () => {
  /** The nearest half's value: a multiple of its unit in the last place. */
  const nearest = (x: number): number => {
    const a = Math.abs(x);
    const unit = 2 ** Math.max(Math.floor(Math.log2(a)) - 10, -24);
    const steps = a / unit;
    let whole = Math.floor(steps);
    if (steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1)) whole++;
    const value = whole * unit >= 65536 ? Infinity : whole * unit;
    return x < 0 ? -value : value;
  };
  const values: number[] = [
    0,
    -0,
    65504,
    65519.99,
    65520,
    -65536,
    1e30,
    6e-8,
    2.98e-8,
    2.99e-8,
    6.1e-5,
    1.00048828125,
    1.00146484375,
    2 ** -14,
  ];
  for (const x of normal(9, 5000))
    values.push(Math.fround(x), Math.fround(x * 2 ** -14), Math.fround(x * 2 ** -20), Math.fround(x * 2 ** 14));
  for (let h = 0; h < 2048; h++) values.push((h + 0.5) * 2 ** -24, 1 + (h + 0.5) / 1024);
  for (const kernel of kernels)
    for (const count of [values.length, 1, 2, 3, 5]) {
      const input = Float32Array.from(values.slice(0, count));
      const got = stored(kernel, input, 1);
      for (let i = 0; i < count; i++) {
        const expected = input[i] === 0 ? input[i] : nearest(input[i]);
        assert.ok(Object.is(got[i], expected), `${input[i]} became ${got[i]}, expected ${expected}`);
      }
    }
  const [nan, infinite] = stored(kernels[0], Float32Array.of(NaN, -Infinity), 1);
  assert.ok(Number.isNaN(nan));
  assert.is(infinite, -Infinity);
});

test.run();
