// The pipelines beside text generation: their results are those of their models, shaped as transformers.js shapes them.
// What the models compute is compared with Hugging Face in tests/model/heads.test.ts.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoTokenizer,
  FeatureExtractionPipeline,
  InputError,
  MixtralForQuestionAnswering,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  MixtralModel,
  pipeline,
  QuestionAnsweringPipeline,
  TextClassificationPipeline,
  TokenClassificationPipeline,
} from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { shape } from "./shape.ts";

const tokenizer = await AutoTokenizer.from_pretrained(demo);
const options = { threads: 1, seed: 5 };
const texts = ["Mustard tastes sharp.", "Pesto is made of basil and oil, and of cheese.", "No"];
const near = (a: number, b: number, what: string) => assert.ok(Math.abs(a - b) <= 1e-6, `${what}: ${a}, ${b}`);

function softmax(values: readonly number[]): number[] {
  const largest = Math.max(...values);
  const powers = values.map((v) => Math.exp(v - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

test("text-classification: labels with probabilities, the likeliest first", async () => {
  const id2label = { 0: "sour", 1: "sweet", 2: "sharp" };
  await using model = await MixtralForSequenceClassification.from_config({ ...shape, id2label }, options);
  const classify = new TextClassificationPipeline(model, tokenizer);
  const rows = await Promise.all(
    texts.map(async (text) => {
      const { logits } = await model({ input_ids: [tokenizer.encode(text)], use_cache: false });
      return softmax(logits.tolist()[0]);
    }),
  );
  const all = await classify(texts, { top_k: null });
  for (const [i, labels] of all.entries()) {
    assert.is(labels.length, 3);
    for (const { label, score } of labels) near(score, rows[i][["sour", "sweet", "sharp"].indexOf(label)], label);
    assert.ok(labels[0].score >= labels[1].score && labels[1].score >= labels[2].score);
  }
  assert.equal(
    await classify(texts),
    all.map(([first]) => first),
  );
  assert.equal(await classify(texts[0]), [all[0][0]]);
  assert.equal(await classify(texts[0], { top_k: 2 }), all[0].slice(0, 2));
  assert.instance(await failure(classify(7 as never)), InputError);
  assert.instance(await failure(classify(texts, { top_k: 0 })), InputError);
  // Several labels at once: each has a probability of its own.
  const config = { ...shape, id2label, problem_type: "multi_label_classification" };
  await using several = await MixtralForSequenceClassification.from_config(config, options);
  const [[{ score, label }]] = await new TextClassificationPipeline(several, tokenizer)([texts[0]], { top_k: 3 });
  const { logits } = await several({ input_ids: [tokenizer.encode(texts[0])], use_cache: false });
  const value = logits.tolist()[0][["sour", "sweet", "sharp"].indexOf(label)];
  near(score, 1 / (1 + Math.exp(-value)), "sigmoid");
});

test("token-classification: tokens, and runs of them", async () => {
  const id2label = { 0: "O", 1: "B-FOOD", 2: "I-FOOD", 3: "B-PLACE" };
  await using model = await MixtralForTokenClassification.from_config({ ...shape, id2label }, options);
  const tag = new TokenClassificationPipeline(model, tokenizer);
  const ids = tokenizer.encode(texts[1]);
  const { logits } = await model({ input_ids: [ids], use_cache: false });
  const rows: number[][] = logits.tolist()[0].map(softmax);
  const every = await tag(texts[1], { ignore_labels: [] });
  // The first token of the row, <s>, has no text.
  assert.equal(
    every.map(({ index }) => index),
    ids.map((_, i) => i).slice(1),
  );
  for (const { entity, score, index, word } of every) {
    const best = rows[index].indexOf(Math.max(...rows[index]));
    assert.is(entity, Object.values(id2label)[best]);
    near(score, rows[index][best], word);
    assert.is(word, tokenizer.decode([ids[index]], { skip_special_tokens: true }));
  }
  const tagged = await tag([texts[1], texts[0]]);
  assert.equal(
    tagged[0],
    every.filter(({ entity }) => entity !== "O"),
  );
  assert.is(tagged.length, 2);

  const groups = await tag(texts[1], { aggregation_strategy: "simple", ignore_labels: [] });
  let at = 0;
  for (const { entity_group, score } of groups) {
    const from = at;
    const name = (i: number) => every[i].entity.replace(/^[BI]-/, "");
    do at++;
    while (at < every.length && name(at) === name(from) && !every[at].entity.startsWith("B-"));
    assert.is(entity_group, name(from));
    const run = every.slice(from, at);
    near(score, run.reduce((sum, each) => sum + each.score, 0) / run.length, entity_group);
  }
  assert.is(at, every.length, "every token is in a group");

  // With words judged as one, no word is divided.
  for (const aggregation_strategy of ["first", "average", "max"] as const) {
    const words = await tag(texts[1], { aggregation_strategy, ignore_labels: [] });
    for (const { word } of words.slice(1))
      assert.ok(texts[1].includes(` ${word.trim()}`), `${aggregation_strategy}: ${word}`);
    assert.is(words.map(({ word }) => word.trim()).join(" "), texts[1]);
  }
  assert.instance(await failure(tag(texts[0], { aggregation_strategy: "most" as never })), InputError);
});

test("question-answering: spans of the context, the likeliest first", async () => {
  await using model = await MixtralForQuestionAnswering.from_config(shape, options);
  const answer = new QuestionAnsweringPipeline(model, tokenizer);
  const [question, context] = ["What is pesto made of?", texts[1]];
  const ids = tokenizer.encode(question, { text_pair: context });
  const first = ids.length - tokenizer.encode(context, { add_special_tokens: false }).length;
  const { start_logits, end_logits } = await model({ input_ids: [ids], use_cache: false });
  const [starts, ends] = [start_logits, end_logits].map((l) => softmax((l.tolist()[0] as number[]).slice(first)));
  let best = { score: -1, answer: "" };
  for (let i = 0; i < starts.length; i++)
    for (let j = i; j < Math.min(ends.length, i + 15); j++)
      if (starts[i] * ends[j] > best.score)
        best = { score: starts[i] * ends[j], answer: tokenizer.decode(ids.slice(first + i, first + j + 1)) };
  const found = await answer(question, context);
  assert.is(found.answer, best.answer);
  near(found.score, best.score, found.answer);
  const several = await answer(question, context, { top_k: 4, max_answer_len: 2 });
  assert.is(several.length, 4);
  for (const [i, each] of several.entries()) if (i > 0) assert.ok(several[i - 1].score >= each.score);
  assert.instance(await failure(answer(question, "")), InputError);
  assert.instance(await failure(answer(question, 3 as never)), InputError);
});

test("feature-extraction: hidden states, pooled and scaled", async () => {
  await using model = await MixtralModel.from_config(shape, options);
  const extract = new FeatureExtractionPipeline(model, tokenizer);
  const rows: number[][][] = await Promise.all(
    texts.map(async (text) => {
      const input_ids = [tokenizer.encode(text)];
      return (await model({ input_ids, use_cache: false })).last_hidden_state.tolist()[0];
    }),
  );
  const longest = Math.max(...rows.map((row) => row.length));
  const whole = await extract(texts);
  assert.equal(whole.dims, [3, longest, 32]);
  for (const [i, row] of rows.entries()) {
    assert.equal(whole[i].tolist().slice(0, row.length), row);
    assert.ok(
      (whole[i].tolist() as number[][])
        .slice(row.length)
        .flat()
        .every((v) => v === 0),
    );
  }
  const mean = (row: number[][]) => row[0].map((_, c) => row.reduce((sum, state) => sum + state[c], 0) / row.length);
  for (const [pooling, of] of [
    ["mean", mean],
    ["last_token", (row: number[][]) => row.at(-1)!],
    ["cls", (row: number[][]) => row[0]],
  ] as const) {
    const pooled = await extract(texts, { pooling });
    assert.equal(pooled.dims, [3, 32]);
    for (const [i, row] of rows.entries())
      of(row).forEach((value, c) => void near((pooled.tolist() as number[][])[i][c], value, pooling));
    const scaled = (await extract(texts, { pooling, normalize: true })).tolist() as number[][];
    for (const row of scaled)
      near(
        row.reduce((sum, v) => sum + v * v, 0),
        1,
        `${pooling}, normalized`,
      );
  }
  assert.instance(await failure(extract(texts, { pooling: "max" as never })), InputError);
  assert.equal((await extract([])).dims[0], 0);
  assert.is(model.info().cache_bytes, 0, "nobody could give a cache back");
});

test("pipeline() loads the class of its task, or says which task is none", async () => {
  await using extract = await pipeline("feature-extraction", demo, { threads: 1 });
  assert.instance(extract, FeatureExtractionPipeline);
  const vectors = await extract(texts, { pooling: "mean", normalize: true });
  assert.equal(vectors.dims, [3, extract.model.config.hidden_size]);
  assert.match(
    (await failure(pipeline("translation" as never, demo))).message,
    /"text-classification".*found "translation"/,
  );
  assert.match((await failure(pipeline("text-classification", demo))).message, /score\.weight: missing/);
});

test.run();
