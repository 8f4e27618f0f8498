// Settings of generate where transformers is easily mistaken: each case is what transformers 5.23 was seen to do with a
// random model. Here it is held against the call's own raw logits.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerateInputs, type GenerateOutput, MixtralForCausalLM, Tensor } from "../../src/index.ts";

const shape = {
  vocab_size: 33,
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  num_local_experts: 2,
  max_position_embeddings: 512,
  initializer_range: 0.5,
};
const load = (config: object = {}) => MixtralForCausalLM.from_config({ ...shape, ...config }, { threads: 1, seed: 7 });

/** Raw and processed scores of each step, of the first row. */
async function steps(model: MixtralForCausalLM, inputs: GenerateInputs) {
  const out: GenerateOutput = await model.generate({
    ...inputs,
    return_dict_in_generate: true,
    output_scores: true,
    output_logits: true,
  });
  out.past_key_values?.dispose();
  const rows = (tensors: Tensor[]) => tensors.map((tensor) => tensor.tolist()[0] as number[]);
  return { sequence: out.sequences.tolist()[0] as number[], logits: rows(out.logits!), scores: rows(out.scores!) };
}

const embeds = (length: number) => new Tensor("float32", new Float32Array(length * 32).fill(0.1), [1, length, 32]);

test("biases and bans of a sequence whose last id is the next", async () => {
  await using model = await load();
  const bias = await steps(model, { input_ids: [[4]], max_new_tokens: 1, sequence_bias: [[[4, 9], 5]] });
  assert.is(bias.scores[0][9], Math.fround(bias.logits[0][9] + 5));
  assert.is(bias.scores[0][8], bias.logits[0][8]);
  const ban = await steps(model, { input_ids: [[4]], max_new_tokens: 1, bad_words_ids: [[4, 6]] });
  assert.is(ban.scores[0][6], -Infinity);
  assert.is(ban.scores[0].filter((score) => score === -Infinity).length, 1);
  // Longer than that it cannot end with the next token.
  const far = await steps(model, { input_ids: [[4]], max_new_tokens: 1, bad_words_ids: [[5, 4, 6]] });
  assert.equal(far.scores[0], far.logits[0]);
});

test("the prompt's own repetition settings", async () => {
  await using model = await load({ eos_token_id: null });
  const input_ids = [[4, 11, 4]];
  const penalty = await steps(model, { input_ids, max_new_tokens: 2, encoder_repetition_penalty: 2 });
  for (const [step, scores] of penalty.scores.entries()) {
    const raw = penalty.logits[step];
    for (const [id, score] of scores.entries()) {
      const seen = id === 4 || id === 11;
      assert.is(score, seen ? Math.fround(raw[id] < 0 ? raw[id] * 0.5 : raw[id] / 0.5) : raw[id], `${step} ${id}`);
    }
  }
  // Runs of 2 of the prompt: 4 11 and 11 4. The last id of the prompt is 4, so 11 is banned.
  const runs = await steps(model, { input_ids, max_new_tokens: 1, encoder_no_repeat_ngram_size: 2 });
  assert.equal(
    [...runs.scores[0].keys()].filter((id) => runs.scores[0][id] === -Infinity),
    [11],
  );
  const single = await steps(model, { input_ids, max_new_tokens: 1, encoder_no_repeat_ngram_size: 1 });
  assert.equal(
    [...single.scores[0].keys()].filter((id) => single.scores[0][id] === -Infinity),
    [4, 11],
  );
});

test("min_new_tokens replaces min_length", async () => {
  await using model = await load();
  const { scores } = await steps(model, { input_ids: [[4]], max_new_tokens: 3, min_new_tokens: 1, min_length: 9 });
  assert.is(scores[0][2], -Infinity);
  if (scores.length > 1) assert.ok(scores[1][2] > -Infinity);
  const longer = await steps(model, { input_ids: [[4]], max_new_tokens: 3, min_length: 3 });
  assert.equal(
    longer.scores.map((step) => step[2] === -Infinity),
    [true, true, ...longer.scores.slice(2).map(() => false)],
  );
});

test("max_length and min_length count embeddings", async () => {
  await using model = await load();
  const two = await steps(model, { inputs_embeds: embeds(2), max_length: 3 });
  assert.is(two.sequence.length, 1);
  const { scores } = await steps(model, { inputs_embeds: embeds(1), max_new_tokens: 1, min_length: 1 });
  assert.ok(scores[0][2] > -Infinity);
  const more = await steps(model, { inputs_embeds: embeds(1), max_new_tokens: 1, min_length: 2 });
  assert.is(more.scores[0][2], -Infinity);
  try {
    await model.generate({ inputs_embeds: embeds(3), max_length: 3 });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /max_length: expected more than the prompt's 3 tokens, found 3/);
  }
});

test("the default of 20 new tokens ends at max_position_embeddings, window or not", async () => {
  for (const sliding_window of [3, null]) {
    await using model = await load({ max_position_embeddings: 40, sliding_window, eos_token_id: null });
    const { sequence } = await steps(model, { input_ids: [Array(25).fill(4)] });
    assert.is(sequence.length, 40);
    const short = await steps(model, { input_ids: [Array(5).fill(4)] });
    assert.is(short.sequence.length, 25);
  }
});

test("top_h is a setting of generate", async () => {
  await using model = await load();
  const { scores, logits } = await steps(model, {
    input_ids: [[4]],
    max_new_tokens: 1,
    do_sample: true,
    seed: 1,
    top_k: 0,
    top_h: 0.4,
  });
  const kept = [...scores[0].keys()].filter((id) => scores[0][id] > -Infinity);
  assert.ok(kept.length > 0 && kept.length < 33, `${kept.length} kept`);
  const least = Math.min(...kept.map((id) => logits[0][id]));
  for (const [id, value] of logits[0].entries()) assert.is(value >= least, kept.includes(id));
});

test("an end that is named twice decays once; a forced first token, and those kept from the beginning, after embeddings", async () => {
  await using model = await load();
  const decay: GenerateInputs = { input_ids: [[4]], max_new_tokens: 3, exponential_decay_length_penalty: [0, 1.5] };
  const [once, twice] = [
    await steps(model, { ...decay, eos_token_id: 9 }),
    await steps(model, { ...decay, eos_token_id: [9, 9] }),
  ];
  assert.equal(twice.scores, once.scores);
  assert.ok(once.scores.length > 1 && once.scores[1][9] !== once.logits[1][9]);
  // Without ids the beginning comes after what is forced, as where a prompt is one token.
  const forced = { max_new_tokens: 3, forced_bos_token_id: 3, begin_suppress_tokens: [13] };
  const after = await steps(model, { inputs_embeds: embeds(6), ...forced });
  assert.is(after.scores[0][13], after.logits[0][13]);
  assert.is(after.scores[1][3], 0);
  assert.ok(after.scores[1].every((score, i) => i === 3 || score === -Infinity));
});

test("use_cache: false changes no token; the caller of generate gets no cache", async () => {
  await using model = await load({ eos_token_id: null });
  await using other = await load({ eos_token_id: null, use_cache: false });
  const inputs = { input_ids: [[4, 5]], max_new_tokens: 6, return_dict_in_generate: true } as const;
  const [a, b, c] = [
    await model.generate(inputs),
    await other.generate(inputs),
    await model.generate({ ...inputs, use_cache: false }),
  ];
  assert.equal(b.sequences.tolist(), a.sequences.tolist());
  assert.equal(c.sequences.tolist(), a.sequences.tolist());
  assert.equal(
    [a, b, c].map(({ past_key_values }) => past_key_values !== undefined),
    [true, true, false],
  );
  for (const { past_key_values } of [a, b]) past_key_values!.dispose();
  assert.is(other.info().cache_bytes, 0);
  // Packed positions are several texts where there is no cache, by the call or by the config.
  const packed = { input_ids: [[5, 6, 7, 8]], position_ids: [[0, 1, 0, 1]] };
  const alone = (await model({ input_ids: [[7, 8]], use_cache: false })).logits.tolist()[0];
  for (const out of [await other(packed), await model({ ...packed, use_cache: false })])
    assert.equal(out.logits.tolist()[0].slice(2), alone);
  const joined = await model(packed);
  assert.not.equal(joined.logits.tolist()[0].slice(2), alone);
  joined.past_key_values!.dispose();
});

test.run();
