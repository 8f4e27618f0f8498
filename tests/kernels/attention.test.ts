// Attention over the pages of the cache: values against float64, the window rule against transformers' masks, and the
// same bits however a sequence is cut into chunks and calls and wherever its pages are.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { json } from "../fixtures.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { attend, type KvType, kvTypes, PagedSequence, Pool, type Rows, type Shape } from "./paged.ts";
import { normal, uniform } from "./random.ts";
import { stored } from "./stored.ts";

const kernels = builds.map((build) => new Kernels(build, 256));
const types = Object.keys(kvTypes) as KvType[];

const random = ({ group, head_dim }: Shape, length: number, seed: number): Rows => ({
  q: normal(seed, length * group * head_dim, 1.5),
  k: normal(seed + 1, length * head_dim, 1.5),
  v: normal(seed + 2, length * head_dim),
});

const between = ({ q, k, v }: Rows, { group, head_dim }: Shape, from: number, to: number): Rows => ({
  q: q.subarray(from * group * head_dim, to * group * head_dim),
  k: k.subarray(from * head_dim, to * head_dim),
  v: v.subarray(from * head_dim, to * head_dim),
});

/** Keys and values as the cache holds them. */
const asStored = ({ q, k, v }: Rows, type: KvType): Rows => ({ q, k: stored(k, type), v: stored(v, type) });

/** The plain twin in float64, softmax over all visible keys at once: outputs, and (row, head of the group) weights. */
function truth(
  { group, head_dim, window }: Shape,
  { q, k, v }: Rows,
  hidden: ReadonlySet<number> = new Set(),
): { out: Float64Array; weights: Float64Array[] } {
  const out = new Float64Array(q.length);
  const weights: Float64Array[] = [];
  for (let i = 0; i < q.length / head_dim; i++) {
    const p = Math.floor(i / group);
    const begin = window ? Math.max(0, p - window + 1) : 0;
    const row = new Float64Array(p + 1).fill(-Infinity);
    for (let j = begin; j <= p; j++) {
      if (hidden.has(j)) continue;
      let dot = 0;
      for (let d = 0; d < head_dim; d++) dot += q[i * head_dim + d] * k[j * head_dim + d];
      row[j] = dot / Math.sqrt(head_dim);
    }
    const max = row.reduce((a, b) => Math.max(a, b));
    if (max === -Infinity) {
      weights.push(row.fill(0));
      continue;
    }
    const sum = row.reduce((total, score) => total + Math.exp(score - max), 0);
    for (let j = 0; j <= p; j++) {
      row[j] = Math.exp(row[j] - max) / sum;
      for (let d = 0; d < head_dim; d++) out[i * head_dim + d] += row[j] * v[j * head_dim + d];
    }
    weights.push(row);
  }
  return { out, weights };
}

const cases = types
  .flatMap((type) =>
    [
      [1, 1, 1, 0],
      [130, 4, 16, 0],
      [200, 4, 32, 0],
      [200, 2, 16, 10],
      [200, 3, 20, 64],
      [150, 1, 37, 50],
      [140, 2, 5, 1],
      [210, 5, 4, 100],
      [90, 8, 128, 70],
      [70, 40, 6, 33],
      [100, 1, 64, 0],
      [260, 2, 80, 129],
      [400, 2, 32, 65],
    ].flatMap(([length, group, head_dim, window]) =>
      type === "q8_0" && head_dim % 32 !== 0 ? [] : [{ shape: { group, head_dim, window, type }, length }],
    ),
  )
  .map(({ shape, length }, i) => {
    const input = random(shape, length, 100 * i);
    const { group, head_dim, window, type } = shape;
    const what = `${length} rows, group ${group}, head_dim ${head_dim}, window ${window}, ${type}`;
    return { shape, length, input, exact: truth(shape, asStored(input, type)), what };
  });

/** Ways to cut a sequence: one chunk, single rows, sevens, blocks, and a long first chunk with single rows after it. */
function cuts(length: number): number[][] {
  const even = (size: number) =>
    Array.from({ length: Math.ceil(length / size) }, (_, i) => Math.min(size, length - i * size));
  const head = Math.ceil(length * 0.7);
  return [[length], even(1), even(7), even(64), [head, ...Array(length - head).fill(1)]];
}

test("attention is within 4e-6 of float64, and no cut into chunks and calls changes a bit", () => {
  let worst = 0;
  for (const { shape, length, input, exact, what } of cases) {
    const expected = attend(kernels[0], shape, input, [length]);
    for (const [at, value] of expected.entries()) {
      const error = Math.abs(value - exact.out[at]);
      assert.ok(error <= 4e-6, `${what}: value ${at} is ${value}, expected ${exact.out[at]}`);
      worst = Math.max(worst, error);
    }
    for (const kernel of kernels)
      for (const chunks of cuts(length))
        for (const parts of [1, 3])
          assert.equal(
            bits(attend(kernel, shape, input, chunks, { parts })),
            bits(expected),
            `${what}, chunks of ${chunks[0]}, ${parts} parts`,
          );
  }
  console.log(`# attention: largest error ${worst.toExponential(2)} over ${cases.length} shapes (values about 1)`);
});

test("q8_0 has the bits of f32 on the dequantized rows", () => {
  for (const [head_dim, group, window] of [
    [32, 3, 0],
    [96, 4, 50],
    [128, 1, 0],
  ]) {
    const shape: Shape = { group, head_dim, window, type: "q8_0" };
    const input = random(shape, 150, head_dim);
    input.v.fill(1e-3, 64 * head_dim, 80 * head_dim); // scales that are subnormal halves
    const plain = attend(kernels[0], { ...shape, type: "f32" }, asStored(input, "q8_0"), [150]);
    for (const kernel of kernels) assert.equal(bits(attend(kernel, shape, input, [100, 50])), bits(plain));
  }
});

test("sequences that share their first pages have the bits of sequences of their own", () => {
  for (const kernel of kernels)
    for (const type of types) {
      const shape: Shape = { group: 2, head_dim: 32, window: 0, type };
      const prefix = random(shape, 128, 5);
      const endings = [random(shape, 70, 6), random(shape, 30, 7)];
      const pool = new Pool(kernel, shape, 8);
      const first = new PagedSequence(pool);
      first.chunk(prefix);
      const both = [first, first.fork()];
      // Turn by turn, so that each stores into pages of its own between the other's steps.
      const outs = endings.map((rows, i) => [both[i].chunk(between(rows, shape, 0, 20)).out]);
      for (const [i, rows] of endings.entries())
        outs[i].push(both[i].chunk(between(rows, shape, 20, rows.k.length / 32)).out);
      for (const [i, rows] of endings.entries()) {
        const alone = new PagedSequence(new Pool(kernel, shape, 4));
        alone.chunk(prefix);
        assert.equal(bits(Float32Array.from(outs[i].flatMap((out) => [...out]))), bits(alone.chunk(rows).out), type);
      }
    }
});

test("eager attention is within 2e-6 of the tiled, and leaves the weights in its matrix", () => {
  for (const { shape, length, input, exact, what } of cases) {
    const { group } = shape;
    const tiled = attend(kernels[0], shape, input, [length]);
    const expected = attend(kernels[0], shape, input, [length], { eager: true });
    for (const [at, value] of expected.entries())
      assert.ok(Math.abs(value - tiled[at]) <= 2e-6, `${what}: value ${at} is ${value}, tiled ${tiled[at]}`);
    const head = Math.ceil(length / 2);
    for (const kernel of kernels) {
      assert.equal(
        bits(attend(kernel, shape, input, [head, length - head], { eager: true, parts: 3 })),
        bits(expected),
      );
      const sequence = new PagedSequence(new Pool(kernel, shape, Math.ceil(length / 64)));
      sequence.chunk(between(input, shape, 0, head));
      const { probabilities } = sequence.chunk(between(input, shape, head, length), { eager: true, parts: 3 });
      assert.is(probabilities.length, (length - head) * group);
      for (const [r, row] of probabilities.entries()) {
        const weights = exact.weights[head * group + r];
        const sum = row.reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) <= 1e-6, `${what}: row ${r} adds up to ${sum}`);
        const wrong = row.findIndex((weight, j) => (weights[j] ? Math.abs(weight - weights[j]) > 2e-6 : weight !== 0));
        assert.is(wrong, -1, `${what}: row ${r} gives key ${wrong} ${row[wrong]}, expected ${weights[wrong]}`);
      }
    }
  }
});

test("hidden keys are not seen, whatever they hold; a query that sees none gives 0", () => {
  for (const { shape, length, input, what } of cases) {
    const { head_dim, type } = shape;
    const next = uniform(length);
    // Single keys, the first ones, and a whole block: of some windows nothing is left.
    const hidden = new Set(
      Array.from({ length }, (_, i) => i).filter((i) => i < 3 || (i >= 64 && i < 131) || next() < 0.2),
    );
    const exact = truth(shape, asStored(input, type), hidden);
    const poisoned = { q: input.q, k: input.k.slice(), v: input.v.slice() };
    for (const key of hidden)
      for (const values of [poisoned.k, poisoned.v]) values.fill(NaN, key * head_dim, (key + 1) * head_dim);
    const expected = attend(kernels[0], shape, input, [length], { hidden });
    for (const [at, value] of expected.entries())
      assert.ok(Math.abs(value - exact.out[at]) <= 4e-6, `${what}: value ${at} is ${value}, expected ${exact.out[at]}`);
    const eager = attend(kernels[0], shape, poisoned, [length], { hidden, eager: true });
    for (const [at, value] of eager.entries())
      assert.ok(Math.abs(value - expected[at]) <= 2e-6, `${what}: eager value ${at} is ${value}`);
    const head = Math.ceil(length / 2);
    for (const kernel of kernels) {
      for (const chunks of [[length], [head, length - head]])
        assert.equal(bits(attend(kernel, shape, poisoned, chunks, { hidden, parts: 3 })), bits(expected), what);
      const sequence = new PagedSequence(new Pool(kernel, shape, Math.ceil(length / 64)));
      const { probabilities } = sequence.chunk(poisoned, { hidden, eager: true });
      for (const [r, row] of probabilities.entries()) {
        const wrong = row.findIndex((weight, j) => !(Math.abs(weight - (exact.weights[r][j] ?? 0)) <= 2e-6));
        assert.is(wrong, -1, `${what}: row ${r} gives key ${wrong} ${row[wrong]}`);
      }
    }
  }
});

test("later rows of a chunk, even NaN, do not reach earlier queries", () => {
  for (const type of types) {
    const shape: Shape = { group: 2, head_dim: 32, window: 0, type };
    const input = random(shape, 100, 1);
    const clean = attend(kernels[0], shape, input, [100]);
    for (const values of [input.k, input.v]) values.fill(NaN, 61 * 32);
    const poisoned = attend(kernels[0], shape, input, [100]);
    assert.equal(bits(poisoned.subarray(0, 61 * 64)), bits(clean.subarray(0, 61 * 64)));
    assert.ok(poisoned.subarray(61 * 64).every(Number.isNaN), type);
  }
});

test("queries see the keys that transformers' masks show", () => {
  // A key's value is one-hot in its index and all scores are equal, so the output names the visible keys.
  let checked = 0;
  for (const { window, updates, steps } of json("fixtures/cache/cache.json").cases) {
    const length = updates.reduce((a: number, b: number) => a + b, 0);
    const shape: Shape = { group: 1, head_dim: length, window: window ?? 0, type: "f32" };
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
  const shape: Shape = { group: 2, head_dim: 20, window: 0, type: "f16" };
  const input = random(shape, 70, 7);
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

test("a block of q8_0 with an infinity or NaN is NaN, and no other is", () => {
  const shape: Shape = { group: 1, head_dim: 64, window: 0, type: "q8_0" };
  const input = random(shape, 70, 8);
  input.v[10 * 64 + 40] = NaN;
  input.v[20 * 64 + 3] = -Infinity;
  const out = attend(kernels[0], shape, input, [70]);
  for (const [at, value] of out.entries()) {
    const p = Math.floor(at / 64);
    assert.is(Number.isNaN(value), p >= (at % 64 < 32 ? 20 : 10), `row ${p}, dim ${at % 64}: ${value}`);
  }
});

test("extreme scores neither overflow nor lose the largest key", () => {
  const shape: Shape = { group: 1, head_dim: 4, window: 0, type: "f32" };
  const q = new Float32Array(130 * 4).fill(1000);
  const k = Float32Array.from({ length: 130 * 4 }, (_, i) => (i >> 2 === 5 ? 1000 : -1000 + (i >> 2)));
  const v = Float32Array.from({ length: 130 * 4 }, (_, i) => i >> 2);
  const out = attend(kernels[0], shape, { q, k, v }, [130]);
  for (let p = 0; p < 130; p++) assert.is(out[p * 4], Math.min(p, 5));
});

test("weights below 2^-80 of the largest count as 0", () => {
  // Key 0 has the largest score and a value of 0; key 1 is lower by the distance and alone in showing.
  for (const [distance, shows] of [
    [55.4, true],
    [55.5, false],
    [80, false],
  ] as const)
    for (const eager of [false, true]) {
      const shape: Shape = { group: 1, head_dim: 1, window: 0, type: "f32" };
      const input = { q: Float32Array.of(1, 1), k: Float32Array.of(0, -distance), v: Float32Array.of(0, 1) };
      const [, weight] = attend(kernels[0], shape, input, [2], { eager });
      const expected = shows ? Math.exp(-distance) : 0;
      assert.ok(Math.abs(weight - expected) <= 1e-5 * expected, `${distance}: ${weight}, expected ${expected}`);
    }
});

test.run();
