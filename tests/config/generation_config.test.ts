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

test("every setting: what is just allowed, and what is just not", () => {
  const table: Record<string, [allowed: unknown[], refused: unknown[]]> = {
    max_length: [
      [1, 2 ** 31 - 1],
      [0, 2 ** 31, 1.5, "5"],
    ],
    max_new_tokens: [[1], [0, -1]],
    min_length: [
      [0, 1],
      [-1, 0.5],
    ],
    min_new_tokens: [[0], [-1]],
    early_stopping: [
      [true, false, "never"],
      ["ever", 1],
    ],
    max_time: [
      [0, 0.5],
      [-1, Number.NaN, "1"],
    ],
    stop_strings: [
      ["a", ["a", "b"]],
      [[1], 5],
    ],
    do_sample: [
      [true, false],
      [1, "true"],
    ],
    num_beams: [
      [1, 65536],
      [0, 65537, 1.5],
    ],
    use_cache: [[true], [0]],
    prefill_chunk_size: [[1], [0]],
    temperature: [
      [0, 2],
      [-0.1, Number.NaN],
    ],
    top_h: [
      [0.01, 1],
      [0, 1.01],
    ],
    top_k: [
      [0, 1],
      [-1, 0.5],
    ],
    top_p: [
      [0, 1],
      [-0.01, 1.01],
    ],
    min_p: [
      [0, 1],
      [-0.01, 1.01],
    ],
    typical_p: [
      [0, 1],
      [-0.01, 1.01],
    ],
    epsilon_cutoff: [
      [0, 0.99],
      [1, -0.01],
    ],
    eta_cutoff: [
      [0, 0.99],
      [1, -0.01],
    ],
    repetition_penalty: [
      [0.01, 9],
      [0, -1],
    ],
    encoder_repetition_penalty: [[0.01], [0]],
    length_penalty: [
      [-2, 0, 2.5],
      [Number.NaN, "1"],
    ],
    no_repeat_ngram_size: [
      [0, 3],
      [-1, 1.5],
    ],
    encoder_no_repeat_ngram_size: [[0, 3], [-1]],
    bad_words_ids: [
      [[], [[1], [2, 3]]],
      [[[]], [1]],
    ],
    renormalize_logits: [[true], ["no"]],
    forced_bos_token_id: [
      [0, -1],
      [-2, 1.5],
    ],
    forced_eos_token_id: [
      [0, [1, 2]],
      [-2, [-2]],
    ],
    remove_invalid_values: [[false], [0]],
    exponential_decay_length_penalty: [[[0, 1.5]], [[0, 0], [-1, 1.5], [1], [1, 2, 3]]],
    suppress_tokens: [
      [[], [0, 1]],
      [[-2], 5],
    ],
    begin_suppress_tokens: [[[0]], [[1.5]]],
    sequence_bias: [[[[[1, 2], -3]]], [[[[], 1]], [[[1]]], [[[1], "1"]]]],
    guidance_scale: [[1.5, -1], ["1"]],
    prompt_lookup_num_tokens: [[1], [0]],
    max_matching_ngram_size: [[1], [0]],
    num_assistant_tokens: [[1], [0]],
    num_assistant_tokens_schedule: [["heuristic", "heuristic_transient", "constant"], ["none"]],
    num_return_sequences: [
      [1, 65536],
      [0, 65537],
    ],
    output_scores: [[true], [1]],
    output_logits: [[true], [1]],
    output_attentions: [[false], [1]],
    output_hidden_states: [[false], [1]],
    return_dict_in_generate: [[true], [1]],
    pad_token_id: [[0, -1], [-2]],
    bos_token_id: [[0], [-2]],
    eos_token_id: [
      [0, [0, 5]],
      [-2, [1.5]],
    ],
  };
  assert.equal(new Set(Object.keys(table)), new Set(Object.keys(GenerationConfig.resolve())));
  for (const [name, [allowed, refused]] of Object.entries(table)) {
    for (const value of allowed)
      assert.equal(new GenerationConfig({ [name]: value }).to_dict(), { [name]: value }, `${name}: ${value}`);
    for (const value of refused)
      assert.throws(
        () => new GenerationConfig({ [name]: value }),
        (error: unknown) => error instanceof ConfigError && error.message.startsWith(`${name}: expected `),
        `${name}: ${JSON.stringify(value)}`,
      );
  }
});

test.run();
