// fixtures/logits/chains.json: which processors a generation config gives, in which order, and what they do together.
// And what callers add: functions, the prefix function, a workspace that is too small.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, InputError, MemoryError } from "../../src/errors.ts";
import * as processor from "../../src/generation/logits_processors.ts";
import * as warper from "../../src/generation/logits_warpers.ts";
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
    {
      vocab_size: 5,
      prompt_length: 2,
      logits_processor: new LogitsProcessorList([double, new warper.TemperatureLogitsWarper(4)]),
    },
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
  // Out of range, in the classes themselves.
  for (const [make, message] of [
    [
      () => new processor.RepetitionPenaltyLogitsProcessor(0),
      /^repetition_penalty: expected a number above 0, found 0/,
    ],
    [() => new processor.EncoderRepetitionPenaltyLogitsProcessor(0, 1), /^encoder_repetition_penalty: .*above 0/],
    [
      () => new processor.FrequencyPresencePenaltyLogitsProcessor(Infinity, 0, 1),
      /^frequency_penalty: expected a finite/,
    ],
    [
      () => new processor.FrequencyPresencePenaltyLogitsProcessor(0, Number.NaN, 1),
      /^presence_penalty: expected a finite/,
    ],
    [() => new processor.NoRepeatNGramLogitsProcessor(0), /^no_repeat_ngram_size: expected an integer of at least 1/],
    [() => new processor.EncoderNoRepeatNGramLogitsProcessor(0, 1), /^encoder_no_repeat_ngram_size: .*at least 1/],
    [() => new processor.MinLengthLogitsProcessor(-1, [2]), /^min_length: expected an integer of at least 0/],
    [() => new processor.MinNewTokensLengthLogitsProcessor(1, -1, [2]), /^min_new_tokens: .*at least 0/],
    [() => new processor.SequenceBiasLogitsProcessor([], 5), /^sequence_bias: expected a list that is not empty/],
    [
      () => new processor.SequenceBiasLogitsProcessor([[[1], Infinity]], 5),
      /^sequence_bias: expected a number, or -Inf/,
    ],
    [() => new processor.SuppressTokensLogitsProcessor([-1]), /^suppress_tokens: expected a list of token ids/],
    [() => new processor.SuppressTokensAtBeginLogitsProcessor([-1], 1), /^begin_suppress_tokens: expected a list/],
    [() => new processor.ForcedBOSTokenLogitsProcessor(-1), /^forced_bos_token_id: expected a list of token ids/],
    [() => new processor.ForcedEOSTokenLogitsProcessor(5, [-1]), /^forced_eos_token_id: expected a list of token ids/],
    [() => new warper.TemperatureLogitsWarper(0), /^temperature: expected a number above 0/],
    [() => new warper.TopHLogitsWarper(1.1), /^top_h: expected a number above 0 and up to 1/],
    [() => new warper.TopKLogitsWarper(0), /^top_k: expected an integer of at least 1/],
    [() => new warper.TopKLogitsWarper(1, 0), /^min_tokens_to_keep: expected an integer of at least 1/],
    [() => new warper.MinPLogitsWarper(1.1), /^min_p: expected a number/],
    [() => new warper.TypicalLogitsWarper(1), /^typical_p: expected a number/],
    [() => new warper.EpsilonLogitsWarper(0), /^epsilon_cutoff: expected a number/],
    [() => new warper.EtaLogitsWarper(1), /^eta_cutoff: expected a number/],
    [() => new warper.TopPLogitsWarper(0.5, 0), /^min_tokens_to_keep: expected an integer of at least 1/],
  ] as const)
    assert.throws(make, (e: unknown) => e instanceof ConfigError && message.test(e.message), String(message));
  const build = (config: object) => () => build_logits_processors(config, { vocab_size: 5, prompt_length: 2 });
  const names = (pattern: RegExp) => (e: unknown) => e instanceof ConfigError && pattern.test(e.message);
  assert.throws(build({ bad_words_ids: [[5]] }), names(/^bad_words_ids: .*below 5.*found \[5\]/));
  assert.throws(build({ do_sample: true, top_p: 2 }), names(/^top_p: expected a number of 0 to 1, found 2/));
});

test("a list takes processors one by one, and nothing else", () => {
  const list = new LogitsProcessorList();
  const none = () => {};
  list.push(none);
  list.extend([new warper.TemperatureLogitsWarper(4), { _call: none }]);
  assert.is(list.processors.length, 3);
  for (const wrong of [3, null, {}])
    assert.throws(() => list.push(wrong as never), /^logits_processor: expected functions or processors, found/);
  assert.throws(() => list.extend(none as never), /expected a list of processors, found a function/);
});

test("a workspace without room for the ids says so", () => {
  const w = workspace({ vocab_size: 5, ids: 3 });
  const list = new LogitsProcessorList([new warper.TemperatureLogitsWarper(4)]);
  assert.throws(
    () => list.process(w, [Int32Array.of(1, 2, 3, 4, 1, 2, 3, 4)], scoresAt),
    (e: unknown) => e instanceof MemoryError && e.needed === 32,
  );
});

test.run();
