// Every operation of logits.wasm beside a readable twin, at sizes around the four lanes of a vector, with what matters at
// every place; and that nothing beside the scores is written.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { random } from "../kernels/twin.ts";
import { bytes, exports, scoresAt, workspace } from "./harness.ts";

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 13];
const f32 = Math.fround;

type Ids = readonly number[];
/** Runs an operation on a copy of the scores. */
function run(scores: Float32Array, operation: (n: number, put: (ids: Ids) => number, scratch: number) => void) {
  const w = workspace({ vocab_size: scores.length });
  const guard = bytes(scoresAt - 16, 32 + 4 * scores.length).fill(0xa5);
  w.view(scoresAt).set(scores);
  operation(scores.length, (ids) => w.put(ids), w.scratch);
  const found = w.view(scoresAt).slice();
  assert.ok([...guard.subarray(0, 16), ...guard.subarray(-16)].every((byte) => byte === 0xa5));
  return found;
}

const same = (found: Float32Array, expected: Iterable<number>, what: string) =>
  assert.equal([...found], [...Float32Array.from(expected)], what);

/** Scores of both signs, and for each place ids that name it. */
function* inputs(): Generator<[string, Float32Array, number[]]> {
  for (const n of SIZES)
    for (let seed = 1; seed <= 4; seed++) {
      const next = random(100 * n + seed);
      const scores = Float32Array.from({ length: n }, () => f32((next() % 2001) / 100 - 10));
      const ids = Array.from({ length: 3 + (next() % 9) }, () => (next() % (n + 2)) - 1); // some outside the vocabulary
      yield [`${n} scores, ids ${ids}`, scores, ids];
    }
}
const map = (scores: Float32Array, change: (score: number, id: number) => number) => Array.from(scores, change);

test("temperature, and what is no number", () => {
  for (const [what, scores] of inputs()) {
    const warm = run(scores, (n) => exports.temperature(scoresAt, n, 0.7));
    same(
      warm,
      map(scores, (score) => f32(score / f32(0.7))),
      what,
    );
    for (const bad of [Number.NaN, Infinity, -Infinity])
      for (let at = 0; at < scores.length; at++) {
        const spoiled = scores.slice();
        spoiled[at] = bad;
        const most = 3.4028234663852886e38;
        const mended = Number.isNaN(bad) ? 0 : bad > 0 ? most : -most;
        const found = run(spoiled, (n) => exports.remove_invalid(scoresAt, n));
        same(
          found,
          map(scores, (score, id) => (id === at ? mended : score)),
          `${bad} at ${at} of ${what}`,
        );
      }
  }
});

test("penalties: each distinct id once, and by how often it occurs", () => {
  for (const [what, scores, ids] of inputs()) {
    const times = (id: number) => ids.filter((each) => each === id).length;
    same(
      run(scores, (n, put, scratch) => exports.repetition_penalty(scoresAt, n, put(ids), ids.length, 1.5, scratch)),
      map(scores, (score, id) => (times(id) ? f32(score < 0 ? score * 1.5 : score / 1.5) : score)),
      what,
    );
    same(
      run(scores, (n, put, scratch) =>
        exports.frequency_presence_penalty(scoresAt, n, put(ids), ids.length, 0.25, 0.5, scratch),
      ),
      map(scores, (score, id) => (times(id) ? f32(score - f32(times(id) * 0.25 + 0.5)) : score)),
      what,
    );
  }
});

test("n-grams: what would repeat one of all ids, or of the first ones", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed);
    const ids = Array.from({ length: 1 + (next() % 14) }, () => next() % 3);
    for (const size of [1, 2, 3, 4])
      for (const prompt of [0, 1, 3, ids.length].filter((length) => length <= ids.length)) {
        const suffix = ids.slice(ids.length - size + 1).join();
        const repeats = (id: number) =>
          ids.length >= size - 1 &&
          ids
            .slice(0, prompt)
            .some(
              (_, i) =>
                i + size <= prompt && ids.slice(i, i + size).join() === [...(size > 1 ? [suffix] : []), id].join(),
            );
        const expected = map(new Float32Array(4), (_, id) => (repeats(id) ? -Infinity : 0));
        const what = `${size}-grams of ${prompt} of ${ids}`;
        if (ids.length < size - 1) continue;
        same(
          run(new Float32Array(4), (n, put) =>
            exports.encoder_no_repeat_ngram(scoresAt, n, put(ids), ids.length, size, prompt),
          ),
          expected,
          what,
        );
        if (prompt === ids.length)
          same(
            run(new Float32Array(4), (n, put) => exports.no_repeat_ngram(scoresAt, n, put(ids), ids.length, size)),
            expected,
            what,
          );
      }
  }
});

test("suppressed, forced, allowed, biased, decayed", () => {
  for (const [what, scores, ids] of inputs()) {
    const listed = (id: number) => ids.includes(id);
    same(
      run(scores, (n, put) => exports.suppress(scoresAt, n, put(ids), ids.length)),
      map(scores, (score, id) => (listed(id) ? -Infinity : score)),
      what,
    );
    same(
      run(scores, (n, put) => exports.force(scoresAt, n, put(ids), ids.length)),
      map(scores, (_, id) => (listed(id) ? 0 : -Infinity)),
      what,
    );
    const allow = (from: Float32Array) =>
      run(from, (n, put, scratch) => exports.allow(scoresAt, n, put(ids), ids.length, scratch));
    const inside = ids.some((id) => id >= 0 && id < scores.length);
    same(
      allow(scores),
      map(scores, (score, id) => (listed(id) ? score : -Infinity)),
      what,
    );
    // Where none of them has a score left, each gets 0.
    const gone = Float32Array.from(scores, (score, id) => (listed(id) ? -Infinity : score));
    if (inside)
      same(
        allow(gone),
        map(gone, (_, id) => (listed(id) ? 0 : -Infinity)),
        what,
      );
    const steps = ids.length;
    const gain = 1.25 ** steps - 1;
    const once = [...new Set(ids)];
    const decayed = run(scores, (n, put) =>
      exports.exponential_decay(scoresAt, n, put(once), once.length, 1.25, steps),
    );
    for (const [id, score] of decayed.entries()) {
      const expected = listed(id) ? scores[id] + Math.abs(scores[id]) * gain : scores[id];
      assert.ok(Math.abs(score - expected) <= 2e-6 * Math.abs(expected), what);
    }
    const infinite = run(new Float32Array(scores.length).fill(-Infinity), (n, put) =>
      exports.exponential_decay(scoresAt, n, put(once), once.length, 1.25, 2),
    );
    assert.ok(infinite.every((score) => score === -Infinity));
    const table = (entries: [number[], number][]) =>
      entries.flatMap(([sequence, bias]) => [
        sequence.length,
        new Int32Array(Float32Array.of(bias).buffer)[0],
        ...sequence,
      ]);
    const last = ids.at(-1)!;
    const entries: [number[], number][] =
      scores.length > 1
        ? [
            [[0], 0.5],
            [[last, 1], 2],
            [[last + 1, 1], 4],
            [[scores.length - 1], -1],
          ]
        : [[[0], 0.5]];
    same(
      run(scores, (n, put, scratch) =>
        exports.sequence_bias(scoresAt, n, put(ids), ids.length, put(table(entries)), entries.length, scratch),
      ),
      map(scores, (score, id) => {
        let bias = id === 0 ? 0.5 : 0;
        if (scores.length > 1 && id === 1) bias += 2;
        if (scores.length > 1 && id === scores.length - 1) bias -= 1;
        return f32(score + bias);
      }),
      what,
    );
  }
});

test("the k largest, in order", () => {
  for (const [what, scores] of inputs()) {
    const w = workspace({ vocab_size: scores.length });
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
    for (const k of [1, 2, 3, scores.length, scores.length + 5]) {
      w.clear();
      w.view(scoresAt).set(scores);
      const out = w.put(new Array(k).fill(-1));
      const count = exports.top_n(scoresAt, scores.length, k, out, w.scratch);
      assert.is(count, Math.min(k, scores.length));
      assert.equal([...new Int32Array(w.memory.buffer, out, count)], order.slice(0, k), what);
    }
    w.view(scoresAt).set(scores);
    exports.softmax(scoresAt, scores.length);
    const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
    for (const [id, p] of w.view(scoresAt).entries())
      assert.ok(Math.abs(p - Math.exp(scores[id]) / sum) <= 1e-6, `${p} of ${what}`);
  }
});

test.run();
