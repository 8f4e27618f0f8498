// The choice of a token: the generator against published values, the distributions of fixtures/logits/sampling.json
// exactly and by drawing, and what stays the same when the batch changes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError, InputError } from "../../src/errors.ts";
import { LogitsWorkspace } from "../../src/generation/logits_module.ts";
import { build_logits_processors } from "../../src/generation/processors.ts";
import { Sampler } from "../../src/generation/sampler.ts";
import { loadLogits } from "../../src/kernels/logits.ts";
import { json } from "../fixtures.ts";
import { bytes, exports, module, processed, scoresAt, workspace } from "./harness.ts";

const { draws } = json("fixtures/logits/sampling.json");
const stateAt = 512;

test("PCG32 gives the values of its reference implementation's demo", () => {
  // pcg32-demo of github.com/imneme/pcg-c-basic: pcg32_srandom(42, 54), round 1.
  exports.pcg32_start(stateAt, 42n, 54n);
  const found = Array.from({ length: 6 }, () => exports.pcg32_next(stateAt) >>> 0);
  assert.equal(found, [0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e]);
});

test("SplitMix64 gives the published values for seed 1234567", () => {
  const found = Array.from({ length: 5 }, (_, i) => BigInt.asUintN(64, exports.splitmix64(1234567n, BigInt(i))));
  assert.equal(found, [
    6457827717110365317n,
    3203168211198807973n,
    9817491932198370423n,
    4593380528125082431n,
    16408922859458223821n,
  ]);
});

test("uniform numbers agree with a generator written in big integers", () => {
  const mask = (1n << 64n) - 1n;
  for (const [seed, row] of [
    [0n, 0],
    [mask, 3],
  ] as const) {
    exports.seed_row(stateAt, seed, row);
    let z = (seed + BigInt(row + 1) * 0x9e3779b97f4a7c15n) & mask;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    z ^= z >> 31n;
    const increment = 2n * BigInt(row) + 1n;
    let state = 0n;
    const next = () => {
      const old = state;
      state = (old * 6364136223846793005n + increment) & mask;
      const x = (((old >> 18n) ^ old) >> 27n) & 0xffffffffn;
      const turn = old >> 59n;
      return ((x >> turn) | (x << (32n - turn))) & 0xffffffffn;
    };
    next();
    state = (state + z) & mask;
    next();
    for (let i = 0; i < 100; i++) {
      const expected = Number(((next() >> 5n) << 26n) | (next() >> 6n)) / 2 ** 53;
      assert.is(exports.uniform(stateAt), expected);
    }
  }
});

/** Scores of a fixture after temperature, top_k, top_p, min_p. */
function warped(d: { scores: number[]; temperature: number; top_k: number; top_p: number; min_p: number | null }) {
  const n = d.scores.length;
  const list = build_logits_processors({ ...d, do_sample: true }, { vocab_size: n, prompt_length: 1 });
  return processed(list.processors, [[1]], { shape: [1, n], data: Float32Array.from(d.scores) });
}

test("softmax gives the exact probabilities", () => {
  let largest = 0;
  for (const d of draws) {
    const w = workspace({ vocab_size: d.scores.length });
    w.view(scoresAt).set(warped(d));
    exports.softmax(scoresAt, d.scores.length);
    w.view(scoresAt).forEach((p, i) => {
      if (d.probabilities[i] === 0) assert.is(p, 0);
      else largest = Math.max(largest, Math.abs(p / d.probabilities[i] - 1));
    });
  }
  assert.ok(largest < 5e-7, `${largest}`);
  console.log(`\n# softmax: largest relative difference of a probability ${largest.toExponential(1)}`);
});

test("draws follow the probabilities", () => {
  const N = 200_000;
  let worst = 0;
  for (const d of draws) {
    const n = d.scores.length;
    const w = workspace({ vocab_size: n, rows: 1 });
    const sampler = new Sampler(w, { do_sample: true, seed: 700, rows: 1 });
    w.view(scoresAt).set(warped(d));
    const counts = new Float64Array(n);
    for (let i = 0; i < N; i++) counts[sampler.select(scoresAt, 0)]++;
    let chi = 0;
    let cells = 0;
    d.probabilities.forEach((p: number, i: number) => {
      if (p === 0) assert.is(counts[i], 0, `${d.name}: token ${i} has no probability`);
      else if (p < 1) {
        // The count is binomial: five standard deviations are one case in two million.
        const deviation = Math.abs(counts[i] - N * p) / Math.sqrt(N * p * (1 - p));
        assert.ok(deviation < 5, `${d.name}: token ${i} came ${counts[i]} times, expected ${N * p}`);
        worst = Math.max(worst, deviation);
        chi += (counts[i] - N * p) ** 2 / (N * p);
        cells++;
      } else assert.is(counts[i], N);
    });
    // Chi-square with cells - 1 degrees of freedom: mean f, variance 2 f.
    if (cells > 1) assert.ok(chi < cells - 1 + 5 * Math.sqrt(2 * (cells - 1)), `${d.name}: chi-square ${chi}`);
  }
  console.log(`\n# draws: largest deviation of a count ${worst.toFixed(2)} standard deviations of ${N} draws`);
});

test("a row draws the same alone, beside others, and with another vocabulary's workspace", () => {
  const draw = (rows: number, row: number, vocab_size: number) => {
    const w = workspace({ vocab_size, rows });
    const sampler = new Sampler(w, { do_sample: true, seed: 42n, rows });
    return Array.from({ length: 50 }, () => {
      w.view(scoresAt).fill(-Infinity);
      w.view(scoresAt).set(draws[0].scores);
      for (let other = 0; other < rows; other++) if (other !== row) sampler.select(scoresAt, other);
      return sampler.select(scoresAt, row);
    });
  };
  assert.equal(draw(1, 0, 12), draw(4, 0, 12));
  assert.equal(draw(3, 2, 12), draw(5, 2, 12));
  assert.equal(draw(3, 2, 12), draw(3, 2, 37));
  assert.not.equal(draw(4, 0, 12), draw(4, 1, 12));
});

test("seeds: equal ones draw alike, others and none do not; a fraction is refused", () => {
  const w = workspace({ vocab_size: 12, rows: 1 });
  w.view(scoresAt).set(draws[0].scores);
  const draw = (seed?: number | bigint) => {
    const sampler = new Sampler(w, { do_sample: true, seed, rows: 1 });
    return Array.from({ length: 40 }, () => sampler.select(scoresAt, 0));
  };
  assert.equal(draw(7), draw(7n));
  assert.equal(draw(-1), draw(2n ** 64n - 1n));
  assert.not.equal(draw(7), draw(8));
  assert.not.equal(draw(), draw());
  assert.throws(
    () => draw(0.5),
    (e: unknown) => e instanceof InputError && /seed.*0\.5/.test(e.message),
  );
});

test("greedy takes the first of the largest", () => {
  for (const values of [
    [3, 1, 3],
    [-Infinity, -Infinity, -5],
    [1, Infinity, Infinity],
    [1, 2, 3, 4, 5, 6, 7],
    [0, -0, 0, 0, 9, 9],
  ]) {
    const w = workspace({ vocab_size: values.length });
    w.view(scoresAt).set(values);
    const sampler = new Sampler(w, { do_sample: false, rows: 1 });
    assert.is(sampler.select(scoresAt, 0), values.indexOf(Math.max(...values)));
  }
});

test("scores without a distribution are an error that says what was found", () => {
  const w = workspace({ vocab_size: 5, rows: 1 });
  const select = (values: number[], do_sample: boolean) => () => {
    w.view(scoresAt).set(values);
    return new Sampler(w, { do_sample, seed: 1, rows: 1 }).select(scoresAt, 0);
  };
  const says = (pattern: RegExp) => (e: unknown) => e instanceof InputError && pattern.test(e.message);
  assert.throws(select([1, 2, Number.NaN, 3, 4], false), says(/NaN for token 2/));
  assert.throws(select([1, 2, Number.NaN, 3, 4], true), says(/NaN for token 2/));
  assert.throws(select([1, 2, 3, 4, Infinity], true), says(/Infinity for token 4/));
  for (const do_sample of [true, false])
    assert.throws(select(Array(5).fill(-Infinity), do_sample), says(/all of them -Infinity/));
});

test("distinct draws: without replacement, the first with the probabilities of a single draw", () => {
  const [d] = draws;
  const n = d.scores.length;
  const w = workspace({ vocab_size: n, rows: 1 });
  const sampler = new Sampler(w, { do_sample: true, seed: 5, rows: 1 });
  const N = 20_000;
  const first = new Float64Array(n);
  const second = new Float64Array(n);
  for (let i = 0; i < N; i++) {
    w.view(scoresAt).set(d.scores);
    const drawn = sampler.draw_distinct(scoresAt, n, 0, 3);
    assert.is(new Set(drawn).size, 3);
    first[drawn[0]]++;
    second[drawn[1]]++;
  }
  const p: number[] = d.probabilities;
  for (let i = 0; i < n; i++) {
    // The second is i when the first is some other j, and i is drawn from what is left.
    const then = p.reduce((sum, q, j) => (j === i ? sum : sum + (q * p[i]) / (1 - q)), 0);
    for (const [count, share] of [
      [first[i], p[i]],
      [second[i], then],
    ]) {
      assert.ok(Math.abs(count - N * share) < 5 * Math.sqrt(N * share * (1 - share)), `token ${i}`);
    }
  }
  w.view(scoresAt).fill(-Infinity)[2] = 0;
  assert.equal(sampler.draw_distinct(scoresAt, n, 0, 2), [2], "no more have a probability");
  for (const wrong of [NaN, Infinity, -Infinity]) {
    w.view(scoresAt).fill(-Infinity)[2] = wrong;
    assert.throws(() => sampler.draw_distinct(scoresAt, n, 0, 2), /no token can be chosen/);
  }
});

test("works at the end of a memory of 4 GiB, and writes nothing beside its part", () => {
  const memory = new WebAssembly.Memory({ initial: 65536, maximum: 65536, shared: true });
  const high = loadLogits(module, memory);
  const n = 1001;
  const sizes = { vocab_size: n, rows: 1, ids: 3 };
  const size = LogitsWorkspace.bytes(high, sizes);
  const scores = 2 ** 32 - size - 64 * 128;
  const w = new LogitsWorkspace(high, memory, 2 ** 32 - size, sizes);
  const before = new Uint8Array(memory.buffer, scores - 4096, 4096).fill(0x5a);
  w.view(scores).set(Float32Array.from({ length: n }, (_, i) => Math.sin(i) * 9));
  const sampler = new Sampler(w, { do_sample: true, seed: 3, rows: 1 });
  const config = { do_sample: true, temperature: 2, top_k: 40, top_p: 0.9, typical_p: 0.95, repetition_penalty: 1.1 };
  build_logits_processors(config, { vocab_size: n, prompt_length: 1 }).process(w, [Int32Array.of(2, 8, 14)], scores);
  const token = sampler.select(scores, 0);
  assert.ok(w.view(scores)[token] > -Infinity);
  assert.ok(before.every((byte) => byte === 0x5a));
  assert.throws(() => new LogitsWorkspace(high, memory, 2 ** 32 - size + 16, sizes), /beyond the memory/);
  assert.throws(() => new LogitsWorkspace(high, memory, 1028, sizes), /multiple of 16/);
});

test("a module needs a shared memory, and says so", () => {
  const unshared = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  assert.throws(
    () => loadLogits(module, unshared),
    (e: unknown) => e instanceof EngineError && /logits\.wasm/.test(e.message),
  );
});

test("top_n: the largest in order, the lowest id first among equals", () => {
  const n = 997;
  const w = workspace({ vocab_size: n });
  const values = Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 101) / 8 - 5);
  w.view(scoresAt).set(values);
  const expected = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
  for (const k of [1, 2, 8, 100, 996, 997, 2000]) {
    const out = w.put(new Int32Array(Math.min(k, n)));
    const count = exports.top_n(scoresAt, n, k, out, w.scratch);
    assert.is(count, Math.min(k, n));
    assert.equal([...new Int32Array(bytes(0, 0).buffer, out, count)], expected.slice(0, count));
  }
});

test.run();
