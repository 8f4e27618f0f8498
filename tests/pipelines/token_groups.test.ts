// Pipelines over scores that the test gives: which tokens are one entity, what a word is judged by, which spans are answers.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForTokenClassification, Tensor } from "../../src/index.ts";
import { QuestionAnsweringPipeline } from "../../src/pipelines/question_answering.ts";
import { TextClassificationPipeline } from "../../src/pipelines/text_classification.ts";
import { TokenClassificationPipeline } from "../../src/pipelines/token_classification.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { demo } from "../fixtures.ts";

const tokenizer = await AutoTokenizer.from_pretrained(demo);
const tiny = { vocab_size: 40, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 };
const real = await MixtralForTokenClassification.from_config({ ...tiny, num_key_value_heads: 1 }, { threads: 1 });
test.after(() => real.dispose());

/** A model that gives these scores for whatever it is asked. */
const giving = (config: object, outputs: (length: number) => object) =>
  Object.assign(async ({ input_ids }: { input_ids: number[][] }) => outputs(input_ids[0].length), {
    config,
    math: real.math,
  }) as never;

const LABELS = ["O", "B-FOOD", "I-FOOD", "B-PLACE"];
/** A token classifier: `tags` has the label of each token behind <s>, with the probability of it. */
const tagger = (tags: readonly (readonly [string, number])[]) =>
  new TokenClassificationPipeline(
    giving({ id2label: { ...LABELS } }, (length) => {
      assert.is(length, tags.length + 1, "tokens");
      const rows = [["O", 1] as const, ...tags].map(([label, p]) =>
        LABELS.map((each) => Math.log(each === label ? p : (1 - p) / 3)),
      );
      return { logits: new Tensor("float32", rows.flat(), [1, length, 4]) };
    }),
    tokenizer,
  );

const text = "pesto and garlic of Liguria";
const ids = tokenizer.encode(text).slice(1);
const words = ids.map((id) => tokenizer.decode([id]));
const starts = ids.map((id) => tokenizer.convert_ids_to_tokens(id)!.startsWith("▁"));

test("neighbours of one label are one entity, but where one begins with B-", async () => {
  assert.ok(ids.length >= 6, "tokens enough");
  const tags = ids.map((_, i) => ["B-FOOD", "I-FOOD", "B-FOOD", "O", "B-PLACE"][i] ?? "B-PLACE");
  const p = tags.map((_, i) => 0.5 + 0.05 * i);
  const tag = tagger(tags.map((label, i) => [label, p[i]] as const));
  const found = await tag(text, { aggregation_strategy: "simple" });
  const expected = [
    { entity_group: "FOOD", score: (p[0] + p[1]) / 2, word: tokenizer.decode(ids.slice(0, 2)) },
    { entity_group: "FOOD", score: p[2], word: words[2] },
    ...ids.slice(4).map((_, i) => ({ entity_group: "PLACE", score: p[4 + i], word: words[4 + i] })),
  ];
  assert.equal(
    found.map(({ entity_group, word }) => ({ entity_group, word })),
    expected.map(({ entity_group, word }) => ({ entity_group, word })),
  );
  for (const [i, { score }] of found.entries()) assert.ok(Math.abs(score - expected[i].score) < 1e-5, `${i}: ${score}`);
  const each = await tag(text);
  assert.equal(
    each.map(({ entity, index, word }) => [entity, index, word]),
    tags.flatMap((label, i) => (label === "O" ? [] : [[label, i + 1, words[i]]])),
  );
  const all = await tag(text, { ignore_labels: ["B-PLACE"] });
  assert.equal(
    all.map(({ entity }) => entity),
    tags.filter((label) => label !== "B-PLACE"),
  );
});

test("what a word is judged by: its first token, the mean, the surest", async () => {
  // The last word has five tokens: FOOD, PLACE, and three that do not know (0.2 for each label but O).
  const begin = starts.lastIndexOf(true);
  assert.is(ids.length - begin, 5, `${words}`);
  const tags = ids.map((_, i): [string, number] =>
    i < begin ? ["O", 0.99] : i === begin ? ["B-FOOD", 0.55] : i === begin + 1 ? ["B-PLACE", 0.9] : ["O", 0.4],
  );
  for (const [aggregation_strategy, entity, probability] of [
    ["first", "FOOD", 0.55],
    ["max", "PLACE", 0.9],
    ["average", "PLACE", (0.15 + 0.9 + 3 * 0.2) / 5],
  ] as const) {
    const [{ entity_group, score, word }, ...others] = await tagger(tags)(text, { aggregation_strategy });
    assert.equal(others, []);
    assert.is(entity_group, entity);
    assert.ok(Math.abs(score - probability) < 1e-5, `${aggregation_strategy}: ${score}`);
    assert.is(word, tokenizer.decode(ids.slice(begin)));
  }
});

test("labels: of a regression the value itself; one label alone is a probability of its own", async () => {
  const classify = (config: object, values: number[]) =>
    new TextClassificationPipeline(
      giving(config, () => ({ logits: new Tensor("float32", values, [1, values.length]) })),
      tokenizer,
    )("pesto", { top_k: null });
  assert.equal(await classify({ id2label: { 0: "grade" }, problem_type: "regression" }, [3.5]), [
    { label: "grade", score: 3.5 },
  ]);
  const [[one]] = [await classify({ id2label: { 0: "good" } }, [2])];
  assert.ok(Math.abs(one.score - 1 / (1 + Math.exp(-2))) < 1e-6);
  const two = await classify({ id2label: { 0: "bad", 1: "good" } }, [0, 1]);
  assert.equal(
    two.map(({ label }) => label),
    ["good", "bad"],
  );
  assert.ok(Math.abs(two[0].score - 1 / (1 + Math.exp(-1))) < 1e-6);
});

test("answers: spans of the context alone, no longer than they may be, the likeliest first", async () => {
  const [question, context] = ["where", text];
  const row = tokenizer.encode(question, { text_pair: context });
  const first = row.length - tokenizer.encode(context, { add_special_tokens: false }).length;
  const scores = (likely: Record<number, number>, length: number) =>
    new Tensor(
      "float32",
      Array.from({ length }, (_, i) => Math.log(likely[i - first] ?? (i < first ? 1e9 : 1e-6))),
      [1, length],
    );
  const answer = new QuestionAnsweringPipeline(
    giving({}, (length) => ({
      start_logits: scores({ 1: 8, 3: 1 }, length),
      end_logits: scores({ 0: 20, 2: 2, 4: 4, 5: 1 }, length),
    })),
    tokenizer,
  );
  const span = (from: number, to: number) =>
    tokenizer.decode(row.slice(first + from, first + to + 1), { skip_special_tokens: true });
  assert.is((await answer(question, context)).answer, span(1, 4));
  const found = await answer(question, context, { top_k: 3 });
  assert.equal(
    found.map((each) => each.answer),
    [span(1, 4), span(1, 2), span(1, 5)],
  );
  // An end before the start is no answer, however likely.
  assert.ok(Math.abs(found[0].score - (8 / 9) * (4 / 27)) < 1e-4, `${found[0].score}`);
  const short = await answer(question, context, { max_answer_len: 2, top_k: 2 });
  assert.equal(
    short.map((each) => each.answer),
    [span(1, 2), span(3, 4)],
  );
  assert.is((await answer(question, context, { max_answer_len: 3 })).answer, span(1, 2));
});

test.run();
