// Assisted decoding gives what decoding gives without: greedy and sampled, token for token and score for score, whoever
// drafts. And it drafts as much as pays.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DraftLength } from "../../src/generation/draft_length.ts";
import { PromptLookup } from "../../src/generation/drafters.ts";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { AutoTokenizer, BaseStreamer, InputError, MistralForCausalLM, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
const other = await MixtralForCausalLM.from_config(
  {
    ...model.config.to_dict(),
    hidden_size: 32,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 16,
  },
  { threads: 1, seed: 5 },
);
test.after(async () => {
  await model.dispose();
  await other.dispose();
});
const tokenizer = await AutoTokenizer.from_pretrained(demo);
const sentence = "Pesto is made of basil, garlic, pine nuts and oil. Pesto is made of basil, garlic,";
const text = tokenizer.encode(sentence);

type WithDict = GenerateInputs & { return_dict_in_generate: true };

class Recorder extends BaseStreamer {
  readonly ids: number[][] = [];
  put(rows: readonly ArrayLike<number>[]): void {
    this.ids.push(Array.from(rows[0]));
  }
  end(): void {
    this.ids.push([]);
  }
}

const settings: Record<string, Partial<GenerateInputs>> = {
  greedy: { max_new_tokens: 60 },
  "greedy, past the window": { max_new_tokens: 300, min_new_tokens: 300 },
  penalties: { max_new_tokens: 40, repetition_penalty: 1.3, no_repeat_ngram_size: 3, min_new_tokens: 30 },
  sampled: { max_new_tokens: 50, do_sample: true, seed: 11, temperature: 0.7, top_k: 20 },
  "sampled, any": { max_new_tokens: 40, do_sample: true, seed: 12, top_k: 0, min_new_tokens: 40 },
  "a stop string": { max_new_tokens: 60, stop_strings: ["garlic", "oil"], tokenizer },
  "functions of the caller": {
    max_new_tokens: 30,
    logits_processor: (ids, scores) => void (scores[0].data[ids[0].length % 50] += 4),
    stopping_criteria: (ids) => ids[0].at(-1) === 13,
  },
  "one token": { max_new_tokens: 1 },
};
const ways: Record<string, Partial<GenerateInputs>> = {
  lookup: { prompt_lookup_num_tokens: 10, num_assistant_tokens_schedule: "constant" },
  "lookup where it pays": { prompt_lookup_num_tokens: 10 },
  "lookup of pairs": {
    prompt_lookup_num_tokens: 3,
    max_matching_ngram_size: 2,
    num_assistant_tokens_schedule: "constant",
  },
  itself: { assistant_model: model, num_assistant_tokens: 6, num_assistant_tokens_schedule: "constant" },
  "another model": { assistant_model: other, num_assistant_tokens: 4, num_assistant_tokens_schedule: "constant" },
  "another model where it pays": { assistant_model: other },
};

for (const [name, setting] of Object.entries(settings)) {
  test(`the same: ${name}`, async () => {
    const run = async (way: Partial<GenerateInputs>) => {
      const streamer = new Recorder();
      const output = await model.generate({
        input_ids: [text],
        ...setting,
        ...way,
        streamer,
        output_scores: true,
        top_logprobs: 2,
        return_dict_in_generate: true,
      });
      return { ...output, streamed: streamer.ids };
    };
    const expected = await run({});
    for (const [how, way] of Object.entries(ways)) {
      const found = await run(way);
      assert.equal(found.sequences.tolist(), expected.sequences.tolist(), how);
      assert.equal(found.streamed, expected.streamed, how);
      assert.equal(found.finish_reasons, expected.finish_reasons, how);
      assert.equal(found.logprobs, expected.logprobs, how);
      for (const [i, scores] of expected.scores!.entries())
        assert.ok(sameBits(found.scores![i].data as Float32Array, scores.data as Float32Array), `${how}, step ${i}`);
      // Either cache goes on in the same way.
      const next = [expected, found].map(({ past_key_values, sequences }) => {
        assert.is(past_key_values!.get_seq_length(), sequences.dims[1] - 1, how);
        return past_key_values!.fork();
      });
      const last = [[(expected.sequences.tolist() as number[][])[0].at(-1)!]];
      const [a, b] = await Promise.all(next.map((past_key_values) => model({ input_ids: last, past_key_values })));
      assert.ok(sameBits(a.logits.data as Float32Array, b.logits.data as Float32Array), `${how}: the cache`);
      for (const cache of [...next, found.past_key_values!]) cache.dispose();
    }
    expected.past_key_values!.dispose();
    assert.is(model.info().cache_bytes, 0);
    assert.is(other.info().cache_bytes, 0);
  });
}

test("what is drafted and right is counted; a model that drafts for itself is right but for an end that may not be yet", async () => {
  const run = async (way: Partial<GenerateInputs>) => {
    const inputs = { input_ids: [text], max_new_tokens: 60, min_new_tokens: 60, ...way };
    const output = await model.generate({ ...inputs, return_dict_in_generate: true } as WithDict);
    output.past_key_values!.dispose();
    return output.timings;
  };
  for (const way of [ways.lookup, ways.itself]) {
    const { drafted_tokens: drafted, accepted_tokens: right, new_tokens } = await run(way);
    console.log(`# ${drafted} drafted, ${right} right, of ${new_tokens}`);
    assert.ok(right! > 20 && right! <= drafted! && new_tokens === 60);
    if (way === ways.itself) assert.ok(right! >= 0.85 * drafted!);
  }
  assert.is((await run({})).drafted_tokens, undefined);
});

test("padding, a cache that is gone on with, cancelling", async () => {
  const padded = [[0, 0, ...text]];
  const attention_mask = [[0, 0, ...text.map(() => 1)]];
  const plain = (await model.generate({ input_ids: padded, attention_mask, max_new_tokens: 30 })).tolist();
  for (const way of Object.values(ways))
    assert.equal(
      (await model.generate({ input_ids: padded, attention_mask, max_new_tokens: 30, ...way })).tolist(),
      plain,
    );
  const { past_key_values } = await model({ input_ids: [text.slice(0, 12)] });
  const gone_on = await model.generate({ input_ids: [text], max_new_tokens: 30, past_key_values, ...ways.itself });
  assert.equal(gone_on.tolist(), (await model.generate({ input_ids: [text], max_new_tokens: 30 })).tolist());
  past_key_values!.dispose();
  const stop = new AbortController();
  const reason = new Error("enough");
  let steps = 0;
  const streamer = { put: () => void (++steps === 9 && stop.abort(reason)), end() {} };
  const call = model.generate({
    input_ids: [text],
    max_new_tokens: 200,
    min_new_tokens: 200,
    signal: stop.signal,
    streamer,
    ...ways.itself,
  });
  assert.is((await failure(call)).cause, reason);
  assert.is(model.info().cache_bytes, 0);
});

test("an assistant with other tokens is refused", async () => {
  const shape = {
    vocab_size: 90,
    hidden_size: 32,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  };
  await using odd = await MistralForCausalLM.from_config({ ...shape, num_key_value_heads: 1 }, { threads: 1 });
  const error = await failure(model.generate({ input_ids: [text], assistant_model: odd }));
  assert.instance(error, InputError);
  assert.match(error.message, /assistant_model: expected a vocabulary of \d+ tokens, as the model's, found 90/);
});

test("a lookup finds the longest occurrence, the latest among equals, and goes round in a loop", () => {
  const lookup = new PromptLookup(null);
  assert.equal(lookup.draft([1, 2, 3, 9, 5, 2, 3, 8, 7, 1, 2, 3], 4).tokens, [9, 5, 2, 3]);
  assert.equal(lookup.draft([4, 3, 9, 5, 3, 8, 7, 3], 2).tokens, [8, 7]);
  assert.equal(lookup.draft([7, 1, 2, 1, 2], 5).tokens, [1, 2, 1, 2, 1]);
  assert.equal(lookup.draft([1, 2, 3], 5).tokens, []);
  assert.equal(new PromptLookup(1).draft([1, 2, 9, 5, 2, 8, 1, 2], 1).tokens, [8]);
});

/** Steps of a model whose steps take `time(rows)`, with drafts that are right with a chance. @returns tokens a millisecond */
function simulate(time: (rows: number) => number, chance: number, draft_ms: number, steps: number) {
  const lengths = new DraftLength(16);
  let [ms, tokens, state] = [0, 0, 1];
  const right = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647 < chance;
  };
  let drafts = 0;
  for (let step = 0; step < steps; step++) {
    const count = lengths.choose(0, 16) || (lengths.due && draft_ms > 0 ? 1 : 0);
    let accepted = 0;
    while (accepted < count && right()) accepted++;
    if (count === 0 && draft_ms === 0) lengths.observe(0, 1, Number(right()));
    lengths.observeStep(count + 1, time(count + 1));
    lengths.observe(0, count, accepted);
    lengths.observeDraft(count, count * draft_ms);
    ms += time(count + 1) + count * draft_ms;
    tokens += 1 + accepted;
    drafts += count;
  }
  return { speed: (tokens / ms) * time(1), drafts };
}

test("drafts are as long as pays: many where they are right or cheap, none where they are wrong and dear", () => {
  const mixture = (rows: number) => 10 + 12 * (1 - 0.75 ** (rows - 1)) + rows * 0.5;
  for (const [what, time, chance, draft_ms, least] of [
    ["copied text, a mixture", mixture, 0.97, 0, 3],
    ["half right, a mixture", mixture, 0.5, 0, 0.97],
    ["always wrong, a mixture", mixture, 0, 0, 0.97],
    ["always wrong, dear drafts", mixture, 0, 3, 0.95],
    ["a good assistant", mixture, 0.9, 1, 1.4],
    ["each row as dear as a step", (rows: number) => 10 * rows, 0.9, 0, 0.97],
  ] as const) {
    const { speed, drafts } = simulate(time, chance, draft_ms, 1500);
    console.log(`# ${what}: ${speed.toFixed(2)} times as fast, ${drafts} drafted in 1500 steps`);
    assert.ok(speed >= least, `${what}: ${speed}, expected at least ${least}`);
  }
});

test.run();
