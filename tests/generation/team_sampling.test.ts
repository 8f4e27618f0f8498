// The threads process scores and draw as the host does: every setting, in batches with padding, gives the same tokens,
// scores and logits whether a function of the caller has a say (then the host does it) or not.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerateInputs, InputError, MixtralForCausalLM, type Tensor } from "../../src/index.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
test.after(() => model.dispose());

const ids = (count: number, step = 37) => Array.from({ length: count }, (_, i) => (i * step + 5) % 1500);
const width = 9;
const rows = [ids(9), ids(4, 31), ids(7, 29)];
const batch = {
  input_ids: rows.map((row) => [...Array(width - row.length).fill(0), ...row]),
  attention_mask: rows.map((row) => [...Array(width - row.length).fill(0), ...Array(row.length).fill(1)]),
};

const settings: Record<string, GenerateInputs> = {
  greedy: {},
  repetition_penalty: { repetition_penalty: 1.4 },
  "frequency and presence": { frequency_penalty: 0.8, presence_penalty: 0.5 },
  no_repeat_ngram_size: { no_repeat_ngram_size: 2 },
  bad_words_ids: { bad_words_ids: [[300], [7, 8], [1, 2, 3]] },
  sequence_bias: {
    sequence_bias: [
      [[400], 9],
      [[5, 6], -3],
    ],
  },
  min_new_tokens: { min_new_tokens: 10, eos_token_id: [2, 13, 300] },
  "forced and suppressed": { forced_eos_token_id: 2, suppress_tokens: [13, 20], begin_suppress_tokens: [300] },
  exponential_decay: { exponential_decay_length_penalty: [3, 1.5] },
  remove_invalid_values: { remove_invalid_values: true },
  sampled: { do_sample: true, seed: 5 },
  "temperature, top_k, top_p": { do_sample: true, seed: 6, temperature: 1.7, top_k: 30, top_p: 0.9 },
  "min_p, typical_p": { do_sample: true, seed: 7, top_k: 0, min_p: 0.02, typical_p: 0.9, temperature: 2 },
  "epsilon, eta, renormalized": {
    do_sample: true,
    seed: 8,
    top_k: 0,
    epsilon_cutoff: 0.001,
    eta_cutoff: 0.002,
    renormalize_logits: true,
  },
  "several answers": { do_sample: true, seed: 9, num_return_sequences: 3, temperature: 1.5 },
};

for (const [name, setting] of Object.entries(settings)) {
  test(name, async () => {
    const options = { ...batch, max_new_tokens: 14, ...setting, output_scores: true, output_logits: true };
    const run = (more: GenerateInputs) =>
      model.generate({ ...options, ...more, return_dict_in_generate: true as const });
    const team = await run({});
    const host = await run({ stopping_criteria: () => false });
    assert.equal(team.sequences.tolist(), host.sequences.tolist());
    assert.is(team.scores!.length, host.scores!.length);
    const prompt = batch.input_ids[0].length;
    const ended = (row: number, step: number) => {
      const eos = [setting.eos_token_id ?? 2].flat();
      const found = team.sequences.tolist()[row].findIndex((id: number, i: number) => i >= prompt && eos.includes(id));
      return found >= 0 && step > found - prompt;
    };
    const compare = (a: Tensor, b: Tensor, step: number) => {
      for (let row = 0; row < a.dims[0]; row++)
        assert.ok(
          ended(row, step) || sameBits(a.row(row).data as Float32Array, b.row(row).data as Float32Array),
          `step ${step}, row ${row}`,
        );
    };
    for (const [step, scores] of team.scores!.entries()) {
      compare(scores, host.scores![step], step);
      compare(team.logits![step], host.logits![step], step);
    }
    for (const { past_key_values } of [team, host]) past_key_values!.dispose();
    assert.is(model.info().cache_bytes, 0);
  });
}

test("what leaves nothing to draw from is told, by the row and the score", async () => {
  const everything = Array.from({ length: model.config.vocab_size }, (_, i) => i);
  let error: unknown;
  try {
    await model.generate({ ...batch, max_new_tokens: 3, do_sample: true, seed: 1, suppress_tokens: everything });
  } catch (thrown) {
    error = thrown;
  }
  assert.instance(error, InputError);
  assert.match((error as Error).message, /row 0: no token can be chosen.*all of them -Infinity/);
  assert.is((await model.generate({ ...batch, max_new_tokens: 2 })).dims[1], width + 2, "the model goes on");
});

test("rows that end early let the others go on, in batches of every size", async () => {
  const eos_token_id = [...Array(700).keys()];
  for (const count of [1, 2, 3, 5, 9]) {
    const input_ids = Array.from({ length: count }, (_, i) => ids(6, 17 + 2 * i));
    const options = { max_new_tokens: 30, do_sample: true, seed: 11, temperature: 2, eos_token_id, pad_token_id: 0 };
    const together = (await model.generate({ ...options, input_ids })).tolist();
    const host = (await model.generate({ ...options, input_ids, stopping_criteria: () => false })).tolist();
    assert.equal(together, host, `${count} rows`);
  }
});

test.run();
