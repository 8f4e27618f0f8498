// GenerationConfig: defaults, which of several layers wins, and what is refused.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GenerationConfig } from "../../src/config/generation_config.ts";
import { ConfigError } from "../../src/errors.ts";
import { json } from "../fixtures.ts";

test("defaults are transformers'", () => {
  const c = GenerationConfig.resolve();
  assert.equal([c.max_length, c.max_new_tokens, c.do_sample, c.num_beams], [20, null, false, 1]);
  assert.equal([c.temperature, c.top_k, c.top_p, c.min_p, c.typical_p], [1, 50, 1, null, 1]);
  assert.equal([c.repetition_penalty, c.length_penalty, c.no_repeat_ngram_size, c.early_stopping], [1, 1, 0, false]);
  assert.equal([c.num_return_sequences, c.use_cache, c.eos_token_id], [1, true, null]);
});

test("the first layer that sets something wins; null sets nothing", () => {
  const file = GenerationConfig.from_dict(json("fixtures/hf/base/generation_config.json"));
  const passed = new GenerationConfig({ temperature: 0.5, top_k: 7, do_sample: true });
  const c = GenerationConfig.resolve({ top_k: 3, temperature: null }, undefined, passed, file);
  assert.equal([c.top_k, c.temperature, c.do_sample], [3, 0.5, true]);
  assert.equal([c.bos_token_id, c.eos_token_id, c.pad_token_id], [1, 2, null]);
});

test("unknown keys are kept and have no effect", () => {
  const values = json("fixtures/hf/base/generation_config.json");
  assert.equal(JSON.parse(JSON.stringify(GenerationConfig.from_dict(values))), values);
  assert.not("_from_model_config" in GenerationConfig.resolve(GenerationConfig.from_dict(values)));
});

test("wrong settings are refused by name", () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ max_length: 0 }, /^max_length: expected an integer of 1/],
    [{ max_new_tokens: 1.5 }, /^max_new_tokens/],
    [{ temperature: -1 }, /^temperature: expected a number of at least 0, found -1/],
    [{ temperature: "hot" }, /^temperature/],
    [{ temperature: Number.NaN }, /^temperature/],
    [{ temperature: 0, do_sample: true }, /^temperature: .*do_sample/],
    [{ top_p: 1.1 }, /^top_p: expected a number of 0 to 1/],
    [{ top_k: -1 }, /^top_k/],
    [{ min_p: 2 }, /^min_p/],
    [{ epsilon_cutoff: 1 }, /^epsilon_cutoff/],
    [{ repetition_penalty: 0 }, /^repetition_penalty/],
    [{ do_sample: 1 }, /^do_sample: expected true or false/],
    [{ early_stopping: "always" }, /^early_stopping/],
    [{ stop_strings: [1] }, /^stop_strings/],
    [{ bad_words_ids: [[]] }, /^bad_words_ids/],
    [{ bad_words_ids: [1] }, /^bad_words_ids/],
    [{ sequence_bias: [[[1], "x"]] }, /^sequence_bias/],
    [{ exponential_decay_length_penalty: [1] }, /^exponential_decay_length_penalty/],
    [{ eos_token_id: "</s>" }, /^eos_token_id/],
    [{ num_beams: 0 }, /^num_beams/],
    [{ num_return_sequences: 2 }, /^num_return_sequences: expected 1 for greedy/],
    [{ num_return_sequences: 3, num_beams: 2 }, /^num_return_sequences: expected at most num_beams 2, found 3/],
  ];
  for (const [options, message] of wrong) {
    try {
      GenerationConfig.resolve(options);
      assert.unreachable(`accepted: ${JSON.stringify(options)}`);
    } catch (error) {
      assert.instance(error, ConfigError);
      assert.match((error as Error).message, message);
    }
  }
  assert.throws(() => GenerationConfig.from_dict({ top_k: "many" }, "a.json"), /top_k: .* found "many" in a\.json/);
});

test.run();
