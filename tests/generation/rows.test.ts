// The rows of a batch, one by one: which prompt each has, what stands behind its end, what of it is padding.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { IdRow } from "../../src/generation/id_row.ts";
import { MixtralForCausalLM } from "../../src/index.ts";
import { TextGenerationPipeline } from "../../src/pipelines/text_generation.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { demo, fixture } from "../fixtures.ts";

const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2 });
test.after(() => model.dispose());
const ids = async (inputs: GenerateInputs) => (await model.generate(inputs)).tolist() as number[][];
const detailed = (inputs: GenerateInputs) =>
  model.generate({ ...inputs, use_cache: false, return_dict_in_generate: true });

const prompts = [
  [5, 90, 33, 12],
  [17, 4, 60, 8],
];

test("answers to several prompts stand in the order of the prompts, each as in a batch of so many rows", async () => {
  for (const way of [{}, { logits_processor: () => {} }] as Partial<GenerateInputs>[]) {
    const options = { ...way, do_sample: true, top_k: 0, seed: 11, max_new_tokens: 8 };
    const found = await ids({ ...options, input_ids: prompts, num_return_sequences: 3 });
    const copies = prompts.flatMap((prompt) => [prompt, prompt, prompt]);
    assert.equal(
      found.map((row) => row.slice(0, 4)),
      copies,
    );
    assert.equal(found, await ids({ ...options, input_ids: copies }));
    assert.is(new Set(found.map(String)).size, 6, "each row has its own generator");
  }
});

test("behind a row's end stand pads, whichever they are, and scores of 0", async () => {
  const max_new_tokens = 26;
  for (const way of [{}, { logits_processor: () => {} }] as Partial<GenerateInputs>[]) {
    const sequence_bias: [number[], number][] = [[[3], 0.5]];
    const options = { ...way, input_ids: prompts, max_new_tokens, sequence_bias };
    // An end of sequence that row 0 alone meets, soon.
    const [first, second] = (await ids({ ...options, eos_token_id: null })).map((row) => row.slice(4));
    const end = first.findIndex((id, i) => i >= 1 && first.indexOf(id) === i && !second.includes(id));
    assert.ok(end >= 1 && end < 10);
    for (const pad_token_id of [0, 7]) {
      const { sequences, scores } = await detailed({
        ...options,
        eos_token_id: first[end],
        pad_token_id,
        output_scores: true,
      });
      const rows = sequences.tolist() as number[][];
      assert.equal(rows[0].slice(4), [...first.slice(0, end + 1), ...new Array(25 - end).fill(pad_token_id)]);
      assert.equal(rows[1].slice(4), second);
      for (const [i, step] of scores!.entries()) {
        if (i <= end) assert.ok(step[0].data.some((v: number) => v !== 0));
        // A step may have been on its way to the threads when the row ended.
        else if (way.logits_processor || i > end + 2)
          assert.ok(
            step[0].data.every((v: number) => v === 0),
            `step ${i}`,
          );
        for (const row of [0, 1]) assert.ok(step[row].data.every(Number.isFinite));
      }
    }
  }
});

test("a pad token that is an end of sequence hides nothing of a prompt; any other does", async () => {
  const input_ids = [[9, 9, 5, 9, 33]];
  const options = { input_ids, max_new_tokens: 6, pad_token_id: 9 };
  const seen = await ids({ ...options, eos_token_id: 2, attention_mask: [[1, 1, 1, 1, 1]] });
  const hidden = await ids({ ...options, eos_token_id: 2, attention_mask: [[0, 0, 1, 0, 1]] });
  assert.not.equal(seen, hidden);
  assert.equal(await ids({ ...options, eos_token_id: 2 }), hidden);
  const eos_token_id = [2, 9];
  assert.equal(
    await ids({ ...options, eos_token_id }),
    await ids({ ...options, eos_token_id, attention_mask: [[1, 1, 1, 1, 1]] }),
  );
});

test("the repetition penalty passes over padding on the left, but not over holes behind it", async () => {
  const input_ids = [[7, 7, 20, 40, 60]];
  const { scores, logits } = await detailed({
    input_ids,
    attention_mask: [[0, 0, 1, 0, 1]],
    repetition_penalty: 2,
    output_scores: true,
    output_logits: true,
    max_new_tokens: 1,
  });
  const [after, before] = [scores![0][0].data as Float32Array, logits![0][0].data as Float32Array];
  const changed = [...after.keys()].filter((id) => after[id] !== before[id]);
  assert.equal(changed, [20, 40, 60]);
});

test("tokens suppressed at the beginning: of a prompt of one token with a forced first one, from the second on", async () => {
  const forced_bos_token_id = 7;
  const greedy = await ids({ input_ids: [[1]], forced_bos_token_id, max_new_tokens: 3 });
  assert.is(greedy[0][1], 7);
  const begin_suppress_tokens = [greedy[0][2]];
  const suppressed = await ids({ input_ids: [[1]], forced_bos_token_id, begin_suppress_tokens, max_new_tokens: 3 });
  assert.is(suppressed[0][1], 7);
  assert.is.not(suppressed[0][2], greedy[0][2]);
  // Without a forced token, or behind a longer prompt, the first new token is the beginning.
  for (const input_ids of [[[1]], [[1, 5]]]) {
    const options = { input_ids, max_new_tokens: 2, ...(input_ids[0].length > 1 ? { forced_bos_token_id } : {}) };
    const [row] = await ids(options);
    const first = row[input_ids[0].length];
    const [other] = await ids({ ...options, begin_suppress_tokens: [first] });
    assert.is.not(other[input_ids[0].length], first);
  }
});

test("rows longer than the vocabulary, whoever chooses", async () => {
  const input_ids = [Array.from({ length: 230 }, (_, i) => (i * 37 + 5) % 150)];
  const options = {
    input_ids,
    max_new_tokens: 20,
    repetition_penalty: 1.2,
    suppress_tokens: [3, 4],
    eos_token_id: null,
  };
  const [row] = await ids(options);
  assert.is(row.length, 250);
  assert.equal(await ids({ ...options, logits_processor: () => {} }), [row]);
  assert.equal(await ids({ ...options, num_beams: 1, prompt_lookup_num_tokens: 3 }), [row]);
  assert.is((await ids({ ...options, num_beams: 2 }))[0].length, 250);
});

test("max_time is in seconds", async () => {
  const limited = await detailed({ input_ids: prompts, max_time: 60, max_new_tokens: 20, eos_token_id: null });
  assert.is(limited.sequences.dims[1], 24);
  const start = performance.now();
  const out = await model.generate({ input_ids: prompts, max_time: 0.05, max_new_tokens: 500, eos_token_id: null });
  assert.ok(out.dims[1] > 4 && out.dims[1] < 504, `${out.dims[1]} tokens`);
  assert.ok(performance.now() - start >= 50);
});

test("a batch of texts of very different lengths: each answer is the one that it gets alone", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  await using language = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const generator = new TextGenerationPipeline(language, tokenizer);
  const texts = [
    "My favourite condiment is",
    "Recipe for pesto",
    "What is pesto made of? Basil, garlic, pine nuts, cheese and oil. My favourite condiment is mustard, and it tastes of",
  ];
  for (const options of [{ max_new_tokens: 12 }, { max_new_tokens: 12, num_beams: 2 }]) {
    const together = await generator(texts, options);
    for (const [i, text] of texts.entries()) assert.equal(together[i], await generator(text, options), text);
  }
});

test("the ids of a row take memory as they come, whatever length was asked for", () => {
  const row = new IdRow(2 ** 24, 9);
  row.set([1, 2, 3], 0);
  assert.equal([...row.first(5)], [1, 2, 3, 9, 9]);
  assert.ok(row.first(5).buffer.byteLength <= 4096);
  row.set([4], 1000);
  const grown = row.first(1002);
  assert.equal([grown[2], grown[3], grown[1000], grown[1001]], [3, 9, 4, 9]);
  assert.ok(grown.buffer.byteLength <= 4 * 2048);
  const short = new IdRow(300, 0);
  short.set([7], 299);
  assert.is(short.first(300).buffer.byteLength, 1200);
});

test.run();
