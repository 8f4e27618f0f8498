// Beam search as calls see it: rows by themselves and in a batch, drawn beams, caches, memory. Its values against
// transformers are in model/calls.test.ts and model/hf.test.ts.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BeamSearch } from "../../src/generation/beam_search.ts";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { MemoryError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const path = fixture("fixtures/hf/window_8");
const ids = (count: number, step: number) => Array.from({ length: count }, (_, i) => (i * step + 5) % 150);
const rows = [ids(30, 37), ids(30, 41), ids(30, 11)];
type WithDict = GenerateInputs & { return_dict_in_generate: true };
const settings = { max_new_tokens: 90, num_beams: 4, num_return_sequences: 2, eos_token_id: [7, 11], pad_token_id: 2 };
const search = async (model: MixtralForCausalLM, more: Partial<GenerateInputs>) => {
  const given = { input_ids: rows, ...settings, ...more, return_dict_in_generate: true, output_scores: true };
  const { past_key_values, ...output } = await model.generate(given as WithDict);
  past_key_values!.dispose();
  return output;
};

for (const [name, setting] of Object.entries({
  best: {},
  "early stopping": { early_stopping: true },
  never: { early_stopping: "never", length_penalty: 2 },
  drawn: { do_sample: true, seed: 4, temperature: 1.5, top_k: 0 },
  "drawn of few": { do_sample: true, seed: 5, top_k: 1 },
} as Record<string, Partial<GenerateInputs>>)) {
  test(`each row's beams equal those of the row alone, whatever the threads and chunks: ${name}`, async () => {
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    const together = await search(model, setting);
    const all = together.sequences.tolist() as number[][];
    await using other = await MixtralForCausalLM.from_pretrained(path, { threads: 3, chunk_size: 7, simd: "plain" });
    for (const [row, prompt] of rows.entries()) {
      // Draws hang on the row's number.
      if (setting.do_sample && row > 0) continue;
      for (const each of [model, other]) {
        const alone = await search(each, { ...setting, input_ids: [prompt] });
        for (const [i, sequence] of (alone.sequences.tolist() as number[][]).entries()) {
          const found = all[2 * row + i];
          assert.equal(found.slice(0, sequence.length), sequence, `row ${row}, answer ${i}`);
          assert.ok(found.slice(sequence.length).every((id) => id === 2));
          assert.is(together.finish_reasons[2 * row + i], alone.finish_reasons[i]);
        }
        const scores = (together.sequences_scores!.data as Float32Array).subarray(2 * row, 2 * row + 2);
        assert.ok(sameBits(alone.sequences_scores!.data as Float32Array, scores));
      }
    }
    const again = await search(model, setting);
    assert.equal(again.sequences.tolist(), all);
    assert.is(model.info().cache_bytes, 0);
  });
}

test("a beam that ended counts with its reason, and others go on beside it", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
  const { sequences, finish_reasons } = await search(model, { num_return_sequences: 4 });
  for (const [i, row] of (sequences.tolist() as number[][]).entries()) {
    const end = row.findIndex((id, at) => at >= 30 && (id === 7 || id === 11));
    assert.is(finish_reasons[i], end < 0 ? "length" : "stop");
  }
});

test("beams share the pages of a long prompt, and what they cannot hold is refused before", async () => {
  const page = 2 * 2 * 2 * 16 * 64 * 4; // 2 layers, keys and values of 2 heads of 16, 64 positions
  const options = { threads: 2, kv_bytes: 9 * page };
  await using model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), options);
  const inputs = { input_ids: [ids(300, 37)], max_new_tokens: 10, num_beams: 4 };
  assert.is((await model.generate(inputs)).dims[1], 310);
  const error = await failure(model.generate({ ...inputs, num_beams: 8 }));
  assert.instance(error, MemoryError);
  assert.is(model.info().cache_bytes, 0);
});

test("the numbers of a search by hand", () => {
  // Two beams over tokens 0, 1, 2; 2 ends. Scores are log-probabilities so far.
  const math = { exp: Math.exp, log: Math.log };
  const settings = {
    num_beams: 2,
    length_penalty: 1,
    early_stopping: false,
    most_tokens: 3,
    ends: 1,
    first_row: 4,
  } as const;
  const search = new BeamSearch(settings, math);
  assert.is(search.candidates, 4);
  assert.equal(
    search.advance(
      [
        { beam: 0, token: 1, score: -0.5 },
        { beam: 0, token: 0, score: -1 },
        { beam: 0, token: 2, score: -2 }, // ends beyond the beams: does not count
        { beam: 1, token: 1, score: -1e9 },
      ],
      [undefined, undefined, "stop", undefined],
    ),
    [0, 0],
  );
  assert.equal(
    search.running.map(({ tokens }) => tokens),
    [[1], [0]],
  );
  assert.not(search.done);
  search.advance(
    [
      { beam: 0, token: 2, score: -0.75 }, // ends: -0.375 a token
      { beam: 1, token: 1, score: -1.25 },
      { beam: 0, token: 1, score: -1.5 },
      { beam: 1, token: 0, score: -4 },
    ],
    ["stop", undefined, undefined, undefined],
  );
  assert.equal(search.results[0].tokens, [1, 2]);
  assert.is(search.results[0].score, -0.375);
  assert.equal(search.results[0].indices, [4, 4]);
  assert.not(search.done, "the other slot is free");
  search.advance(
    [
      { beam: 0, token: 1, score: -1.3125 },
      { beam: 1, token: 2, score: -1.6875 },
      { beam: 0, token: 0, score: -3 },
      { beam: 1, token: 0, score: -3.5 },
    ],
    ["length", "stop", "length", "length"],
  );
  assert.ok(search.done, "all have ended");
  assert.equal(
    search.results.map(({ tokens, score, reason }) => ({ tokens, score, reason })),
    [
      { tokens: [1, 2], score: -0.375, reason: "stop" },
      { tokens: [0, 1, 1], score: -0.4375, reason: "length" },
    ],
  );
});

test.run();
