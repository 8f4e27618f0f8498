// The vectors of Hugging Face's own tests/generation/test_logits_process.py, as probabilities.
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as processor from "../../src/generation/logits_processors.ts";
import * as warper from "../../src/generation/logits_warpers.ts";
import type { RowProcessor } from "../../src/generation/row_processor.ts";
import { processed } from "./harness.ts";

/** Probabilities in, what is left of them out. */
function probabilities(p: RowProcessor, values: number[]): number[] {
  const scores = { shape: [1, values.length], data: Float32Array.from(values, Math.log) };
  return Array.from(processed([p], [[0]], scores), Math.exp);
}

const close = (found: number[], expected: number[]) =>
  assert.ok(
    found.length === expected.length &&
      found.every((p, i) => (expected[i] === 0 ? p === 0 : Math.abs(p - expected[i]) < 1e-3)),
    `found ${found}, expected ${expected}`,
  );

test("top_p", () => {
  close(probabilities(new warper.TopPLogitsWarper(0.8), [0.3, 0.1, 0.1, 0.5]), [0.3, 0, 0, 0.5]);
  close(probabilities(new warper.TopPLogitsWarper(0.8), [0.15, 0.3, 0.3, 0.25]), [0, 0.3, 0.3, 0.25]);
});

test("min_p", () => {
  close(probabilities(new warper.MinPLogitsWarper(0.05), [0.9, 0.0274, 0.047, 0.0274]), [0.9, 0, 0.047, 0]);
});

test("typical_p", () => {
  close(probabilities(new warper.TypicalLogitsWarper(0.5), [0.97, 0.01, 0.01, 0.01]), [0.97, 0, 0, 0]);
  close(probabilities(new warper.TypicalLogitsWarper(0.5), [0.4, 0.2, 0.2, 0.2]), [0, 0.2, 0.2, 0.2]);
});

test("epsilon_cutoff", () => {
  close(probabilities(new warper.EpsilonLogitsWarper(0.1), [0.87, 0.099, 0.001, 0.03]), [0.87, 0, 0, 0]);
});

test("eta_cutoff", () => {
  close(probabilities(new warper.EtaLogitsWarper(0.0625), [0, 0.1, 0.8, 0.1]), [0, 0.1, 0.8, 0.1]);
  close(probabilities(new warper.EtaLogitsWarper(0.0625), [0.01, 0.04, 0.9, 0.05]), [0, 0, 0.9, 0]);
});

/** Ids that a processor bans after the given ids, of ten. */
function banned(p: RowProcessor, ids: number[]): number[] {
  const out = processed([p], [ids], { shape: [1, 10], data: new Float32Array(10) });
  return [...out.keys()].filter((id) => out[id] === -Infinity);
}

test("no_repeat_ngram_size", () => {
  const two = new processor.NoRepeatNGramLogitsProcessor(2);
  assert.equal(banned(two, [1, 1, 2, 1]), [1, 2]);
  assert.equal(banned(two, [0, 1, 0, 1]), [0]);
  assert.equal(banned(new processor.NoRepeatNGramLogitsProcessor(3), [1, 2, 5, 7, 8, 5, 1, 2]), [5]);
});

test("repetition_penalty", () => {
  const scores = { shape: [1, 3], data: Float32Array.of(-0.1, 0.4, 0.3) };
  const out = processed([new processor.RepetitionPenaltyLogitsProcessor(2)], [[0, 1, 0]], scores);
  assert.equal([...out], [...Float32Array.of(-0.2, 0.2, 0.3)]);
});

test("bad_words_ids, where the end of sequence alone is none", () => {
  const words = [[1], [4], [1, 0], [0, 1, 2], [1, 3, 1, 3]];
  const p = new processor.NoBadWordsLogitsProcessor(words, [4], 10);
  assert.equal(banned(p, [0, 1, 3, 1]), [0, 1, 3]);
  assert.equal(banned(p, [0, 1, 0, 1]), [0, 1, 2]);
});

test.run();
