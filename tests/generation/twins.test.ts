// The radix selections of logits.wasm beside readable twins that sort, at sizes and with values that fixtures leave out:
// one token, odd sizes, Mixtral's 32,000, ties, both zeros, removed entries. And what each call costs.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SequenceBiasLogitsProcessor } from "../../src/generation/logits_processors.ts";
import { exports, processed, scoresAt, workspace } from "./harness.ts";

/** Numbers in [0, 1), the same every time. */
function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

const kinds: Record<string, (next: () => number) => number> = {
  bell: (next) => (next() + next() + next() + next() - 2) * 6,
  ties: (next) => Math.round((next() - 0.5) * 20) / 2,
  holes: (next) => (next() < 0.4 ? -Infinity : (next() - 0.5) * 30),
  zeros: (next) => [0, -0, 1, -1][Math.floor(next() * 4)],
  wide: (next) => (next() - 0.5) * 10 ** (next() * 6 - 3),
};

function* inputs(): Generator<[string, Float32Array]> {
  for (const n of [1, 2, 3, 5, 8, 63, 1023, 32000]) {
    for (const [kind, value] of Object.entries(kinds)) {
      const next = random(n + 1);
      const x = Float32Array.from({ length: n }, () => value(next));
      if (x.every((v) => v === -Infinity)) x[0] = 1;
      yield [`${kind} ${n}`, x];
    }
  }
}

/** Runs a warper on a copy of x. */
function warp(x: Float32Array, run: (n: number, scratch: number) => void): Float32Array {
  const w = workspace({ vocab_size: x.length });
  w.view(scoresAt).set(x);
  run(x.length, w.scratch);
  return w.view(scoresAt).slice();
}

/** Indices by falling value, the lowest index first among equals. */
const descending = (x: ArrayLike<number>) =>
  Array.from({ length: x.length }, (_, i) => i).sort((a, b) => x[b] - x[a] || a - b);

function softmax(x: Float32Array): Float64Array {
  const most = x.reduce((a, b) => Math.max(a, b));
  const e = Float64Array.from(x, (v) => Math.exp(v - most));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

const keeping = (x: Float32Array, kept: Iterable<number>): Float32Array => {
  const out = new Float32Array(x.length).fill(-Infinity);
  for (const i of kept) out[i] = x[i];
  return out;
};

const alike = (found: Float32Array, expected: Float32Array, name: string) => {
  const at = found.findIndex((v, i) => v !== expected[i]);
  assert.is(at, -1, `${name}: [${at}] is ${found[at]}, expected ${expected[at]}`);
};

test("top_k keeps what is not smaller than the k-th largest", () => {
  for (const [name, x] of inputs()) {
    const order = descending(x);
    for (const k of [1, 2, 50, x.length - 1, x.length]) {
      if (k < 1 || k > x.length) continue;
      const least = x[order[k - 1]];
      const expected = x.map((v) => (v < least ? -Infinity : v));
      alike(
        warp(x, (n, scratch) => exports.top_k(scoresAt, n, k, scratch)),
        expected,
        `${name} k ${k}`,
      );
    }
  }
});

/** How many of the order are kept, given for a slightly smaller and a slightly larger limit: rounding may choose. */
function keptBetween(x: Float32Array, order: number[], p: number, keep: number): [number, number] {
  const probabilities = softmax(x);
  const count = (limit: number) => {
    let left = 1;
    let kept = x.length;
    // From the least likely on, while what is removed stays within 1 - p.
    let removed = 0;
    while (kept > 1 && removed + probabilities[order[kept - 1]] <= limit) removed += probabilities[order[--kept]];
    left = Math.max(kept, Math.min(keep, x.length));
    return left;
  };
  return [count((1 - p) * (1 + 2e-6)), count((1 - p) * (1 - 2e-6))];
}

test("top_p keeps the likeliest that reach p", () => {
  for (const [name, x] of inputs()) {
    const order = descending(x);
    const finite = x.filter((v) => v > -Infinity).length;
    for (const p of [0, 0.3, 0.9, 0.999]) {
      for (const keep of [1, 3]) {
        const found = warp(x, (n, scratch) => exports.top_p(scoresAt, n, p, keep, scratch));
        const kept = found.filter((v) => v > -Infinity).length;
        const [least, most] = keptBetween(x, order, p, keep).map((n) => Math.min(n, finite));
        assert.ok(kept >= least && kept <= most, `${name} p ${p}: ${kept} kept, expected ${least} to ${most}`);
        alike(found, keeping(x, order.slice(0, kept)), `${name} p ${p}`);
      }
    }
  }
});

test("min_p keeps what is at least p times as likely as the likeliest", () => {
  for (const [name, x] of inputs()) {
    const probabilities = softmax(x);
    const most = Math.max(...probabilities);
    for (const p of [0.01, 0.3]) {
      const found = warp(x, (n, scratch) => exports.min_p(scoresAt, n, p, 1, scratch));
      found.forEach((v, i) => {
        const ratio = probabilities[i] / (p * most);
        if (Math.abs(ratio - 1) > 1e-6) assert.is(v, ratio < 1 ? -Infinity : x[i], `${name} p ${p} [${i}]`);
      });
    }
  }
});

test("a mass that is the limit but for float32's rounding counts as reached, as in transformers", () => {
  const top_p = (p: number) => (n: number, s: number) => exports.top_p(scoresAt, n, p, 1, s);
  const typical_p = (p: number) => (n: number, s: number) => exports.typical_p(scoresAt, n, p, 1, s);
  // Shares of a whole, the limit, and how many transformers 5.23 keeps.
  for (const [warper, shares, limit, kept] of [
    [top_p, [2, 8, 2, 4], 0.75, 2],
    [top_p, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0.8, 8],
    [top_p, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0.9, 9],
    [top_p, [4, 3, 2, 1], 0.9, 3],
    [top_p, [8, 1, 1], 0.8, 1],
    [top_p, [8, 1, 1], 0.81, 2],
    [typical_p, [4, 3, 2, 1], 0.9, 3],
    [typical_p, [5, 3, 2], 0.3, 1],
    [typical_p, [8, 1, 1], 0.8, 1],
    [typical_p, [8, 1, 1], 0.81, 3],
  ] as const) {
    const whole = shares.reduce((a: number, b) => a + b, 0);
    const found = warp(
      Float32Array.from(shares, (share) => Math.log(share / whole)),
      warper(limit),
    );
    assert.is(found.filter((v) => v > -Infinity).length, kept, `${shares} to ${limit}`);
  }
});

test("a bias counts from the context on that is all but its last token", () => {
  // As transformers 5.23 has it.
  const bias = new SequenceBiasLogitsProcessor(
    [
      [[5, 6, 7], 3],
      [[6, 8], 2],
      [[9], 1],
    ],
    16,
  );
  const scores = { shape: [1, 16], data: new Float32Array(16) };
  const biased = (ids: number[]) => {
    const out = processed([bias], [ids], scores);
    return [7, 8, 9].map((id) => out[id]);
  };
  assert.equal(biased([5, 6]), [3, 2, 1]);
  assert.equal(biased([4, 5, 6]), [3, 2, 1]);
  assert.equal(biased([6]), [0, 2, 1]);
  assert.equal(biased([5]), [0, 0, 1]);
  assert.equal(biased([4, 6]), [0, 2, 1]);
});

test("argmax and log_softmax at every size", () => {
  let largest = 0;
  for (const [name, x] of inputs()) {
    const w = workspace({ vocab_size: x.length });
    w.view(scoresAt).set(x);
    assert.is(exports.argmax(scoresAt, x.length), descending(x)[0], name);
    exports.log_softmax(scoresAt, x.length, w.scratch);
    const probabilities = softmax(x);
    w.view(scoresAt).forEach((v, i) => {
      if (probabilities[i] > 1e-30) largest = Math.max(largest, Math.abs(v - Math.log(probabilities[i])));
    });
  }
  // Half a unit in the last place of a float32 near 64 is 3.8e-6.
  assert.ok(largest < 4e-6, `${largest}`);
  console.log(`\n# log_softmax: largest difference ${largest.toExponential(1)}`);
});

test("NaN and infinity pass through every warper, to be found by the sampler", () => {
  for (const bad of [Number.NaN, Infinity]) {
    for (const n of [5, 1024]) {
      const x = Float32Array.from({ length: n }, (_, i) => (i % 7) / 3);
      x[3] = bad;
      const runs: ((n: number, s: number) => void)[] = [
        (n, s) => exports.top_k(scoresAt, n, 2, s),
        (n, s) => exports.top_p(scoresAt, n, 0.5, 1, s),
        (n, s) => exports.min_p(scoresAt, n, 0.5, 1, s),
        (n, s) => exports.typical_p(scoresAt, n, 0.5, 1, s),
        (n, s) => exports.epsilon_cutoff(scoresAt, n, 0.5, 1, s),
        (n, s) => exports.eta_cutoff(scoresAt, n, 0.5, 1, s),
        (n, s) => exports.top_h(scoresAt, n, 0.5, s),
      ];
      for (const [which, run] of runs.entries())
        assert.ok(Object.is(warp(x, run)[3], bad), `warper ${which}, ${n} scores`);
    }
  }
});

test("what it costs", () => {
  const next = random(1);
  const n = 32000;
  const x = Float32Array.from({ length: n }, () => kinds.bell(next));
  for (let i = 0; i < 40; i++) x[Math.floor(next() * n)] += 8;
  const w = workspace({ vocab_size: n, rows: 1 });
  const s = w.scratch;
  exports.seed_row(w.states, 1n, 0);
  const steps: Record<string, () => void> = {
    temperature: () => exports.temperature(scoresAt, n, 0.7),
    "top_k 50": () => exports.top_k(scoresAt, n, 50, s),
    "top_p 0.9": () => exports.top_p(scoresAt, n, 0.9, 1, s),
    "min_p 0.05": () => exports.min_p(scoresAt, n, 0.05, 1, s),
    "typical_p 0.9": () => exports.typical_p(scoresAt, n, 0.9, 1, s),
    eta_cutoff: () => exports.eta_cutoff(scoresAt, n, 1e-3, 1, s),
    "top_h 0.9": () => exports.top_h(scoresAt, n, 0.9, s),
    log_softmax: () => exports.log_softmax(scoresAt, n, s),
    argmax: () => void exports.argmax(scoresAt, n),
    draw: () => void exports.draw(scoresAt, n, w.states, s),
    "temperature, top_k 50, top_p 0.9, draw": () => {
      exports.temperature(scoresAt, n, 0.7);
      exports.top_k(scoresAt, n, 50, s);
      exports.top_p(scoresAt, n, 0.9, 1, s);
      exports.draw(scoresAt, n, w.states, s);
    },
  };
  const costs = Object.entries(steps).map(([name, run]) => {
    const times = Array.from({ length: 100 }, () => {
      w.view(scoresAt).set(x);
      const start = performance.now();
      run();
      return performance.now() - start;
    });
    return `${name} ${Math.round(1000 * times.sort((a, b) => a - b)[50])}`;
  });
  console.log(`\n# µs for 32,000 logits (median): ${costs.join("; ")}`);
});

test.run();
