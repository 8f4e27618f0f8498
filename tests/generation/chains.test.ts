// fixtures/logits/chains.json: which processors a generation config gives, in which order, and what they do together.
// And what callers add: functions, the prefix function, a workspace that is too small.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, InputError, MemoryError } from "../../src/errors.ts";
import { TemperatureLogitsWarper } from "../../src/generation/logits_warpers.ts";
import { build_logits_processors, LogitsProcessorList } from "../../src/generation/processors.ts";
import type { Tensor } from "../../src/tensor.ts";
import { fixture, json, safetensors } from "../fixtures.ts";
import { compareRow, processed, scoresAt, workspace } from "./harness.ts";

const { chains } = json("fixtures/logits/chains.json");
const { tensors } = safetensors(fixture("fixtures/logits/logits.safetensors"));

let largest = 0;
for (const chain of chains) {
  test(`chain ${chain.name}`, () => {
    const [scores, expected] = [tensors[chain.scores], tensors[chain.expected]];
    const vocab_size = scores.shape[1];
    const list = build_logits_processors(chain.generation_config, {
      vocab_size,
      prompt_length: chain.prompt_length,
      padding_lengths: chain.attention_mask.map((mask: number[]) => mask.indexOf(1)),
    });
    assert.equal(
      list.processors.map((p) => p.constructor.name),
      chain.order,
    );
    const found = processed(list.processors, chain.input_ids, scores);
    for (let row = 0; row < scores.shape[0]; row++) {
      const span = [row * vocab_size, (row + 1) * vocab_size] as const;
      const result = compareRow(found.subarray(...span), (expected.data as Float32Array).subarray(...span), {});
      assert.is(result.wrong, undefined, `row ${row}`);
      largest = Math.max(largest, result.difference);
    }
  });
}

test("all 15 chains were there", () => {
  assert.is(chains.length, 15);
  console.log(`\n# chains: largest relative difference ${largest.toExponential(1)}`);
});

const two = { shape: [2, 5], data: Float32Array.of(1, 2, 3, 4, 5, 5, 4, 3, 2, 1) };
const ids = [
  [1, 2],
  [3, 4],
];

test("a function of the caller sees the batch, between processors and warpers", () => {
  const seen: unknown[] = [];
  const spy = (input_ids: number[][], scores: Tensor) => {
    seen.push(input_ids, scores.tolist());
    scores[1].data[0] = -Infinity;
  };
  const list = build_logits_processors(
    { do_sample: true, temperature: 0.5, suppress_tokens: [4] },
    { vocab_size: 5, prompt_length: 2, logits_processor: spy },
  );
  const found = processed(list.processors, ids, two);
  assert.equal(seen, [
    ids,
    [
      [1, 2, 3, 4, -Infinity],
      [5, 4, 3, 2, -Infinity],
    ],
  ]);
  assert.equal([...found], [2, 4, 6, 8, -Infinity, -Infinity, 8, 6, 4, -Infinity]);
});

test("what a function returns replaces the scores; objects with _call, lists and processors are taken", () => {
  const double = { _call: (_: number[][], scores: Tensor) => (scores.data as Float32Array).map((x) => 2 * x) };
  const list = build_logits_processors(
    {},
    { vocab_size: 5, prompt_length: 2, logits_processor: [double, new TemperatureLogitsWarper(4)] },
  );
  assert.equal([...processed(list.processors, ids, two)], [...two.data.map((x) => x / 2)]);
  assert.throws(
    () => processed([() => new Float32Array(3)], ids, two),
    (e: unknown) => e instanceof InputError && /float32 \[2, 5\]/.test(e.message),
  );
  assert.throws(
    () => build_logits_processors({}, { vocab_size: 5, prompt_length: 2, logits_processor: [7 as never] }),
    (e: unknown) => e instanceof InputError,
  );
});

test("errors name the setting", () => {
  const build = (config: object) => () => build_logits_processors(config, { vocab_size: 5, prompt_length: 2 });
  const names = (pattern: RegExp) => (e: unknown) => e instanceof ConfigError && pattern.test(e.message);
  assert.throws(build({ bad_words_ids: [[5]] }), names(/^bad_words_ids: .*below 5.*found \[5\]/));
  assert.throws(build({ do_sample: true, top_p: 2 }), names(/^top_p: expected a number of 0 to 1, found 2/));
});

test("a workspace without room for the ids says so", () => {
  const w = workspace({ vocab_size: 5, ids: 3 });
  const list = new LogitsProcessorList([new TemperatureLogitsWarper(4)]);
  assert.throws(
    () => list.process(w, [Int32Array.of(1, 2, 3, 4, 1, 2, 3, 4)], scoresAt),
    (e: unknown) => e instanceof MemoryError && e.needed === 32,
  );
});

test.run();
