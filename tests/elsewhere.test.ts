// Sessions, pipelines and perplexity over a model that tells no more than its interface says, and that later: all is as over
// the model itself.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ChatCache, ChatModel } from "../src/generation/chat_model.ts";
import type { GenerateInputs } from "../src/generation/generate_inputs.ts";
import { type PerplexityModel, perplexity } from "../src/generation/perplexity.ts";
import {
  AutoTokenizer,
  type CausalLM,
  ChatSession,
  InputError,
  type KeyValueCache,
  MixtralForCausalLM,
  MixtralForQuestionAnswering,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  MixtralModel,
} from "../src/index.ts";
import type { PipelineModels } from "../src/pipelines/models.ts";
import { type PipelineTask, pipelineOf } from "../src/pipelines/tasks.ts";
import { failure } from "./failure.ts";
import { demo, fixture } from "./fixtures.ts";
import { shape } from "./pipelines/shape.ts";

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
const later = async <T>(answer: () => T): Promise<T> => {
  await pause();
  return answer();
};

/** A cache, by what a session may ask of it: lengths are those that were told when the last call had ended. */
class FarCache implements ChatCache {
  private length = 0;
  readonly near: KeyValueCache;
  constructor(near: KeyValueCache) {
    this.near = near;
  }
  get_seq_length = () => this.length;
  croppable = (length: number) => later(() => this.near.croppable(length));
  told(): void {
    this.length = this.near.get_seq_length();
  }
  crop(length: number): void {
    this.near.crop(length);
    this.told();
  }
  dispose(): void {
    this.near.dispose();
  }
}

const far = (model: MixtralForCausalLM): ChatModel => ({
  generation_config: model.generation_config,
  generate: () => failure(Promise.resolve()),
  create_cache: (rows) => later(() => new FarCache(model.create_cache(rows))),
  most_tokens: (prompt) => later(() => model.most_tokens(prompt)),
  cache_suits: (cache, options) => later(() => model.cache_suits((cache as FarCache).near, options)),
  async generated(inputs: GenerateInputs) {
    const cache = inputs.past_key_values as unknown as FarCache;
    try {
      return await model.generated({ ...inputs, past_key_values: cache.near });
    } finally {
      await pause();
      cache.told();
    }
  },
});

/** Characters are tokens from 3 on. */
const letters = {
  decode: (ids: number[]) => ids.map((id) => String.fromCharCode(id + 61)).join(""),
  apply_chat_template: (messages: readonly { content: string }[]) => [
    1,
    ...Array.from(messages.map(({ content }) => content).join(""), (c) => c.charCodeAt(0) - 61),
  ],
};
const options = { max_new_tokens: 6, min_new_tokens: 6, eos_token_id: 2 };

test("a session answers alike, and finds as much in its cache", async () => {
  for (const name of ["base", "window_8"]) {
    await using model = await MixtralForCausalLM.from_pretrained(fixture(`fixtures/hf/${name}`), {
      threads: 2,
      context: 96,
    });
    const sessions = [new ChatSession(model, letters), new ChatSession(far(model), letters)];
    let [cached, dropped] = [0, 0];
    for (let turn = 0; turn < 12; turn++) {
      const found = [];
      for (const session of sessions) {
        if (turn % 5 === 3) session.undo();
        // A failure leaves both as they were.
        if (turn === 4)
          assert.instance(await failure(session.prompt("x", { ...options, adapter: "none" })), InputError);
        const answer = await session.prompt("Hello".slice(turn % 3), { ...options, max_new_tokens: 6 + turn });
        const { prompt_tokens, cached_tokens, dropped, finish_reason, messages } = session;
        found.push({ answer, prompt_tokens, cached_tokens, dropped, finish_reason, messages: [...messages] });
      }
      assert.equal(found[1], found[0], `${name}: turn ${turn}`);
      cached += found[1].cached_tokens;
      dropped += found[1].dropped;
    }
    assert.ok(cached > 100 && dropped > 0, `${cached} tokens cached, ${dropped} dropped`);
    for (const session of sessions) session.dispose();
    assert.is(model.info().cache_bytes, 0);
  }
});

test("a session that is reset, or disposed, while its model is asked goes on as from the beginning", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2 });
  const first = new ChatSession(model, letters);
  const alone = await first.prompt("Hello", options);
  first.dispose();
  for (const waits of [0, 1, 2, 3, 4, 5]) {
    const session = new ChatSession(far(model), letters);
    await session.prompt("World", options);
    session.undo();
    const answering = session.prompt("Hello", options);
    for (let i = 0; i < waits; i++) await pause();
    session.dispose();
    assert.is(await answering, alone);
    assert.is(session.messages.length, 2);
    const again = session.prompt("Hello", options);
    for (let i = 0; i < waits; i++) await pause();
    session.reset();
    await again;
    assert.equal(session.messages, []);
    assert.is(await session.prompt("Hello", options), alone);
    session.dispose();
    assert.is(model.info().cache_bytes, 0);
  }
});

test("perplexity is the same", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const { config, positions, math } = model;
  const text = "Pesto is made of basil and oil, and of cheese. ".repeat(6);
  const elsewhere: PerplexityModel = Object.assign(async (inputs: Parameters<CausalLM>[0]) => model(inputs), {
    config,
    positions,
    math: later(() => math),
    rows_at_once: (tokens: number) => later(() => model.rows_at_once(tokens)),
    forward: () => {},
    generate: () => {},
  });
  const settings = { context: 24, stride: 9 };
  assert.equal(
    await perplexity(elsewhere, tokenizer, text, settings),
    await perplexity(model, tokenizer, text, settings),
  );
});

const labelled = { ...shape, id2label: { 0: "O", 1: "B-FOOD", 2: "I-FOOD" } };
const text = "Mustard tastes sharp, and pesto of basil.";
type Called = ((...given: unknown[]) => Promise<unknown>) & { dispose(): Promise<void> };

const tasks: Record<PipelineTask, readonly [{ from_config: unknown }, ...(readonly unknown[])[]]> = {
  "text-generation": [MixtralForCausalLM, [text, { max_new_tokens: 12 }], [[text, "Pesto"], { num_beams: 2 }]],
  "text-classification": [MixtralForSequenceClassification, [text, { top_k: null }], [[text, "Pesto"]]],
  "token-classification": [
    MixtralForTokenClassification,
    [text],
    [[text, "Pesto"], { aggregation_strategy: "average", ignore_labels: [] }],
  ],
  "question-answering": [MixtralForQuestionAnswering, ["What is sharp?", text, { top_k: 3 }]],
  "feature-extraction": [MixtralModel, [[text, "Pesto"], { pooling: "mean", normalize: true }]],
};

for (const [task, [Model, ...calls]] of Object.entries(tasks)) {
  test(`${task} gives the same`, async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    const model = await (Model as typeof MixtralForCausalLM).from_config(labelled, { threads: 1, seed: 5 });
    const { config, generation_config, context, math } = model;
    // The model's methods are asked later, and nothing else of it is there.
    const elsewhere = Object.assign(async (inputs: never) => later(() => model(inputs)), {
      config,
      generation_config,
      context,
      math: later(() => math),
      generate: (inputs: GenerateInputs) => later(() => model.generate(inputs)),
      info: () => ({ path: "elsewhere" }),
      dispose: () => model.dispose(),
    });
    const near = pipelineOf(task as PipelineTask, model as never, tokenizer) as unknown as Called;
    const distant = pipelineOf(
      task as PipelineTask,
      elsewhere as unknown as PipelineModels[PipelineTask],
      tokenizer,
    ) as unknown as Called;
    const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
    for (const given of calls) assert.equal(plain(await distant(...given)), plain(await near(...given)));
    await distant.dispose();
    assert.ok(calls.length > 0 && (await failure(near(...calls[0]))).message.includes("disposed"));
  });
}

test.run();
