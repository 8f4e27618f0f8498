// Every case of fixtures/logits/cases.json: one processor or warper each, against Hugging Face's classes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, InputError } from "../../src/errors.ts";
import * as processor from "../../src/generation/logits_processors.ts";
import * as warper from "../../src/generation/logits_warpers.ts";
import type { RowProcessor } from "../../src/generation/row_processor.ts";
import { fixture, json, safetensors } from "../fixtures.ts";
import { compareRow, processed } from "./harness.ts";

const { cases } = json("fixtures/logits/cases.json");
const { tensors } = safetensors(fixture("fixtures/logits/logits.safetensors"));

// biome-ignore-start lint/suspicious/noExplicitAny: parsed JSON
const bias = (entries: any[]) =>
  entries.map((entry) => (Array.isArray(entry) && entry[1] === "-inf" ? [entry[0], -Infinity] : entry)) as [
    number[],
    number,
  ][];

const build: Record<string, (p: any, vocab_size: number) => RowProcessor> = {
  temperature: (p) => new warper.TemperatureLogitsWarper(p.temperature),
  top_k: (p) => new warper.TopKLogitsWarper(p.top_k, p.min_tokens_to_keep),
  top_p: (p) => new warper.TopPLogitsWarper(p.top_p, p.min_tokens_to_keep),
  min_p: (p) => new warper.MinPLogitsWarper(p.min_p, p.min_tokens_to_keep),
  typical_p: (p) => new warper.TypicalLogitsWarper(p.typical_p, p.min_tokens_to_keep),
  epsilon_cutoff: (p) => new warper.EpsilonLogitsWarper(p.epsilon_cutoff, p.min_tokens_to_keep),
  eta_cutoff: (p) => new warper.EtaLogitsWarper(p.eta_cutoff, p.min_tokens_to_keep),
  top_h: (p) => new warper.TopHLogitsWarper(p.top_h),
  renormalize_logits: () => new warper.LogitNormalization(),
  repetition_penalty: (p) =>
    new processor.RepetitionPenaltyLogitsProcessor(p.repetition_penalty, p.padding_lengths ?? p.prompt_ignore_length),
  frequency_presence_penalty: (p) =>
    new processor.FrequencyPresencePenaltyLogitsProcessor(p.frequency_penalty, p.presence_penalty, p.prompt_length),
  no_repeat_ngram_size: (p) => new processor.NoRepeatNGramLogitsProcessor(p.no_repeat_ngram_size),
  bad_words_ids: (p, vocab) => new processor.NoBadWordsLogitsProcessor(p.bad_words_ids, p.eos_token_id ?? [], vocab),
  sequence_bias: (p, vocab) => new processor.SequenceBiasLogitsProcessor(bias(p.sequence_bias), vocab),
  min_length: (p) => new processor.MinLengthLogitsProcessor(p.min_length, p.eos_token_id),
  min_new_tokens: (p) =>
    new processor.MinNewTokensLengthLogitsProcessor(p.prompt_length, p.min_new_tokens, p.eos_token_id),
  forced_bos_token_id: (p) => new processor.ForcedBOSTokenLogitsProcessor(p.forced_bos_token_id),
  forced_eos_token_id: (p) => new processor.ForcedEOSTokenLogitsProcessor(p.max_length, p.forced_eos_token_id),
  exponential_decay_length_penalty: (p) =>
    new processor.ExponentialDecayLengthPenalty(p.exponential_decay_length_penalty, p.eos_token_id, p.prompt_length),
  suppress_tokens: (p) => new processor.SuppressTokensLogitsProcessor(p.suppress_tokens),
  begin_suppress_tokens: (p) =>
    new processor.SuppressTokensAtBeginLogitsProcessor(p.begin_suppress_tokens, p.begin_index),
  remove_invalid_values: () => new processor.InfNanRemoveLogitsProcessor(),
  prefix_allowed_tokens_fn: (p) => new processor.PrefixConstrainedLogitsProcessor((row) => p.allowed_by_row[row]),
};

// Python tells 2 from 2.0 and Hugging Face refuses the former; JavaScript has one kind of number.
const integerForFloat = new Set(["error.temperature.2", "error.repetition_penalty.2", "error.sequence_bias.integer"]);

const byProcessor = new Map<string, any[]>();
// biome-ignore-end lint/suspicious/noExplicitAny: parsed JSON
for (const c of cases) byProcessor.set(c.processor, [...(byProcessor.get(c.processor) ?? []), c]);

for (const [name, list] of byProcessor) {
  test(`${name}: ${list.length} cases`, () => {
    let largest = 0;
    for (const c of list) {
      if (c.expected === "error") {
        const run = () =>
          processed([build[name](c.params, 37)], c.input_ids, { shape: [1, 37], data: new Float32Array(37) });
        if (integerForFloat.has(c.name)) assert.not.throws(run, `${c.name}: is valid here`);
        else assert.throws(run, (e: unknown) => e instanceof ConfigError || e instanceof InputError, c.name);
        continue;
      }
      const [scores, expected] = [tensors[c.scores], tensors[c.expected]];
      const vocab_size = scores.shape[1];
      const found = processed([build[name](c.params, vocab_size)], c.input_ids, scores);
      for (let row = 0; row < scores.shape[0]; row++) {
        const span = [row * vocab_size, (row + 1) * vocab_size] as const;
        const result = compareRow(found.subarray(...span), (expected.data as Float32Array).subarray(...span), {
          tie: c.rows_that_cut_a_tie?.includes(row),
          sensitive: c.rows_sensitive_to_rounding?.includes(row),
        });
        assert.is(result.wrong, undefined, `${c.name} row ${row}`);
        largest = Math.max(largest, result.difference);
      }
    }
    console.log(`\n# ${name}: largest relative difference ${largest.toExponential(1)}`);
  });
}

test("all 406 cases were there", () => {
  assert.is(cases.length, 406);
});

test.run();
