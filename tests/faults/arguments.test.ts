// Every public function with every odd value in every place: it answers, or fails with an error of this library, soon; and
// the model is as it was. Nothing of the caller's making (no arguments, null, another's object) is a TypeError.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { generationFields } from "../../src/config/generation_config.ts";
import { ownOptions } from "../../src/generation/generate_inputs.ts";
import * as api from "../../src/index.ts";
import { forwardArguments } from "../../src/model/inputs.ts";
import { encodeOptions } from "../../src/text/encoding.ts";
import { demo } from "../fixtures.ts";
import { answer, expected } from "./answer.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const odd: readonly unknown[] = [
  undefined,
  null,
  0,
  -1,
  1.5,
  Number.NaN,
  Infinity,
  2 ** 53,
  10n,
  true,
  "",
  "x",
  "\u001b[31m\u202e\ud800",
  [],
  [null],
  [[]],
  [1, [2]],
  [[[1]]],
  ["a", 1],
  {},
  { length: 3 },
  { role: "user" },
  () => 1,
  () => {},
  Symbol("odd"),
  new Date(0),
  new Map([["a", 1]]),
  new Float32Array(2),
  new BigInt64Array(2),
  new api.Tensor("float32", new Float32Array(2), [1, 2]),
  Object.create(null),
];

const adapterOptions = ["adapter_name", "scale", "signal", "none"];

type Call = (...args: never[]) => unknown;

let calls = 0;
const wrong: string[] = [];

const show = (value: unknown): string => {
  try {
    return typeof value === "symbol"
      ? "symbol"
      : (JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v)) ?? typeof value);
  } catch {
    return typeof value;
  }
};

/** One call: whatever comes of it, it is ordinary. */
async function ordinary(what: string, call: () => unknown): Promise<void> {
  calls++;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing came of it within 20 s")), 20_000);
  });
  try {
    await Promise.race([late, (async () => call())()]);
  } catch (error) {
    const own = error instanceof api.TramontaneError && typeof error.code === "string" && error.code !== "";
    if (!own)
      wrong.push(
        `${what}: ${(error as Error)?.stack ?? String(error)}`
          .split("\n    at ")
          .slice(0, 2)
          .join(" at ")
          .slice(0, 300),
      );
  } finally {
    clearTimeout(timer);
  }
}

/** A function with odd values in the place of each argument, and with none. */
async function everyArgument(what: string, call: Call, good: readonly unknown[]): Promise<void> {
  for (const count of good.keys())
    await ordinary(`${what} with ${count} arguments`, () => call(...(good.slice(0, count) as never[])));
  for (const at of good.keys())
    for (const value of odd) {
      const args = good.map((each, i) => (i === at ? value : each));
      await ordinary(`${what}, argument ${at} is ${show(value)}`, () => call(...(args as never[])));
    }
}

/** A function of one object with odd values under each name. */
async function everyOption(
  what: string,
  call: (options: never) => unknown,
  good: object,
  names: readonly string[],
): Promise<void> {
  for (const name of names)
    for (const value of odd)
      await ordinary(`${what}, ${name} is ${show(value)}`, () => call({ ...good, [name]: value } as never));
}

const model = await api.MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
const tokenizer = await api.AutoTokenizer.from_pretrained(demo);
/** A model that is made in no time. */
const small = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_local_experts: 2,
};
const ids = [1, 20, 300];

const report = () => {
  const found = wrong.splice(0);
  assert.is(found.length, 0, `of ${calls} calls, ${found.length} ended otherwise:\n${found.slice(0, 400).join("\n")}`);
};

test("models", async () => {
  await everyArgument("model()", (inputs) => model(inputs), [{ input_ids: ids }]);
  const forward = [...forwardArguments, "output_router_logits", "labels", "logits_to_keep", "none"];
  await everyOption("model()", (inputs) => model(inputs), { input_ids: ids }, forward);
  for (const call of ["create_cache", "load_cache", "_call", "load_adapter", "set_adapter", "delete_adapter"] as const)
    await everyArgument(`model.${call}`, (model[call] as Call).bind(model), [1]);
  // No adapter is there: nothing is written.
  await everyArgument("merge", api.merge, [demo, ["no such folder"], "merged", {}]);
  await everyOption("merge", (options) => api.merge(demo, ["no such folder"], "merged", options), {}, [
    "dtype",
    "max_shard_bytes",
    "signal",
    "progress_callback",
    "none",
  ]);
  await everyOption("load_adapter", (options) => model.load_adapter("no such folder", options), {}, adapterOptions);
  const output = await model.generate({
    input_ids: ids,
    max_new_tokens: 2,
    return_dict_in_generate: true,
    output_scores: true,
  });
  await everyArgument("compute_transition_scores", model.compute_transition_scores.bind(model) as Call, [
    output.sequences,
    output.scores,
    null,
    true,
  ]);
  const cache = (await model({ input_ids: ids })).past_key_values!;
  await everyArgument("crop", (length) => cache.fork().crop(length), [1]);
  await everyArgument(
    "save",
    async (path: string) => {
      if (typeof path === "string" && path !== "" && !path.includes("\0")) path = join(folder, "cache");
      await cache.save(path);
    },
    ["x"],
  );
  cache.dispose();
  report();
});

test("generate and its like", async () => {
  const base = { input_ids: ids, max_new_tokens: 2, do_sample: true, seed: 1, tokenizer };
  const own = [...ownOptions, "none"];
  await everyArgument("generate()", (inputs) => model.generate(inputs), [base]);
  await everyOption("generate()", (inputs) => model.generate(inputs), base, [...own, ...generationFields]);
  await everyOption("generate() with guidance", (inputs) => model.generate(inputs), { ...base, guidance_scale: 2 }, [
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
  ]);
  const run = async (stream: AsyncIterable<unknown>) => {
    for await (const _ of stream);
  };
  await everyArgument("stream()", (inputs) => run(model.stream(inputs)), [base]);
  await everyOption("stream()", (inputs) => run(model.stream(inputs)), base, own);
  await everyArgument(
    "ChatSession",
    (...args: unknown[]) => {
      const session = new api.ChatSession(...(args as [never, never]));
      return run(session.send("hi", { max_new_tokens: 2 }));
    },
    [model, tokenizer],
  );
  const session = new api.ChatSession(model, tokenizer);
  await everyArgument("send", (...args: unknown[]) => run(session.send(...(args as [never]))), [
    "hi",
    { max_new_tokens: 2 },
  ]);
  session.dispose();
  await everyArgument(
    "TextStreamer",
    (...args: unknown[]) => {
      const streamer = new api.TextStreamer(...(args as [never, never]));
      return model.generate({ input_ids: ids, max_new_tokens: 2, streamer });
    },
    [tokenizer, { callback_function: () => {} }],
  );
  await everyOption(
    "TextStreamer",
    (options) => {
      const streamer = new api.TextStreamer(tokenizer, options);
      streamer.put([ids]);
      streamer.put([[4]]);
    },
    { callback_function: () => {} },
    ["skip_prompt", "skip_special_tokens", "token_callback_function", "decode_kwargs"],
  );
  report();
});

test("tokenizers", async () => {
  const methods: [string, Call, unknown[]][] = [
    ["tokenizer()", (...args) => tokenizer(...(args as [never])), ["a b", {}]],
    ["encode", tokenizer.encode.bind(tokenizer) as Call, ["a b", {}]],
    ["tokenize", tokenizer.tokenize.bind(tokenizer) as Call, ["a b", {}]],
    ["decode", tokenizer.decode.bind(tokenizer) as Call, [ids, {}]],
    ["batch_decode", tokenizer.batch_decode.bind(tokenizer) as Call, [[ids], {}]],
    ["token_bytes", tokenizer.token_bytes.bind(tokenizer) as Call, [5]],
    ["convert_tokens_to_ids", tokenizer.convert_tokens_to_ids.bind(tokenizer) as Call, [["a"]]],
    ["convert_ids_to_tokens", tokenizer.convert_ids_to_tokens.bind(tokenizer) as Call, [ids]],
    ["decode_stream", (options) => tokenizer.decode_stream(options).push(20), [{}]],
    [
      "apply_chat_template",
      tokenizer.apply_chat_template.bind(tokenizer) as Call,
      [[{ role: "user", content: "a" }], {}],
    ],
    ["pad_token", (token) => void (tokenizer.pad_token = token), ["</s>"]],
  ];
  for (const [what, call, good] of methods) await everyArgument(what, call, good);
  tokenizer.pad_token = "</s>";
  const options = ["text_pair", "add_special_tokens", "split_special_tokens", ...encodeOptions];
  await everyOption("tokenizer()", (given) => tokenizer("a b", given), { padding: true, truncation: true }, options);
  await everyOption("encode", (given) => tokenizer.encode("a b", given), {}, options);
  await everyOption("decode_stream", (given) => tokenizer.decode_stream(given).push(20), {}, [
    "skip_special_tokens",
    "certain",
    "prompt",
  ]);
  const chat = [
    "tools",
    "documents",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "return_dict",
    "variable",
    ...encodeOptions,
  ];
  await everyOption(
    "apply_chat_template",
    (given) => tokenizer.apply_chat_template([{ role: "user", content: "a" }], given),
    {},
    chat,
  );
  await everyOption(
    "apply_chat_template, a message",
    (message) => tokenizer.apply_chat_template([message]),
    { role: "user", content: "a" },
    ["role", "content", "tool_calls", "more"],
  );
  tokenizer.pad_token = null;
  report();
});

test("loading", async () => {
  const path = join(folder, "nothing");
  for (const [name, load] of Object.entries({
    AutoTokenizer: api.AutoTokenizer.from_pretrained,
    AutoConfig: api.AutoConfig.from_pretrained,
    AutoModelForCausalLM: (...args: unknown[]) => api.AutoModelForCausalLM.from_pretrained(...(args as [never])),
    MixtralForCausalLM: (...args: unknown[]) => api.MixtralForCausalLM.from_pretrained(...(args as [never])),
  }))
    await everyArgument(name, load as Call, [path, {}]);
  const options = [
    "config",
    "threads",
    "context",
    "kv_dtype",
    "attn_implementation",
    "mmap",
    "check_tensors",
    "dtype",
    "device",
    "progress_callback",
    "signal",
    "kv_bytes",
    "memory_budget",
    "chunk_size",
    "step_ms",
    "max_sequences",
    "simd",
    "profile",
    "bank_bytes",
  ];
  const load = async (given: never) => (await api.MixtralForCausalLM.from_pretrained(demo, given)).dispose();
  await everyOption("from_pretrained", load, { threads: 1 }, options);
  await everyOption("AutoTokenizer", (given) => api.AutoTokenizer.from_pretrained(demo, given), {}, ["file"]);
  await everyArgument("pipeline", api.pipeline as Call, ["text-generation", path, {}]);
  const make = async (...args: unknown[]) => (await api.MixtralForCausalLM.from_config(...(args as [never]))).dispose();
  await everyArgument("from_config", make as Call, [small, { threads: 1 }]);
  await everyOption("from_config", (given) => make(small, given), { threads: 1 }, ["seed"]);
  const fields = Object.keys(new api.MixtralConfig(small));
  await everyOption("MixtralConfig", (given) => new api.MixtralConfig(given), small, fields);
  await everyArgument("MixtralConfig", (given) => new api.MixtralConfig(given), [small]);
  await everyArgument("GenerationConfig", (given) => new api.GenerationConfig(given), [{}]);
  await everyArgument("configure", api.configure as Call, [{}]);
  await everyOption("configure", api.configure as never, {}, ["none"]);
  report();
});

test("pipelines", async () => {
  const generator = await api.pipeline("text-generation", demo, { threads: 1 });
  const options = { max_new_tokens: 2 };
  await everyArgument("text-generation", (...args: unknown[]) => generator(...(args as [never])), ["a", options]);
  await everyOption("text-generation", (given) => generator("a", given), options, [
    "return_full_text",
    "add_special_tokens",
    "none",
  ]);
  await generator.dispose();
  for (const [Class, Pipeline, good] of [
    [api.MixtralForSequenceClassification, api.TextClassificationPipeline, ["a", {}]],
    [api.MixtralForTokenClassification, api.TokenClassificationPipeline, ["a b", {}]],
    [api.MixtralForQuestionAnswering, api.QuestionAnsweringPipeline, ["who?", "me", {}]],
    [api.MixtralModel, api.FeatureExtractionPipeline, ["a", {}]],
  ] as const) {
    const own = await (Class as typeof api.MixtralModel).from_config({ ...small, vocab_size: 1536 }, { threads: 1 });
    const pipeline = new (Pipeline as typeof api.FeatureExtractionPipeline)(own, tokenizer);
    await everyArgument(
      Pipeline.name,
      (...args: unknown[]) => (pipeline as unknown as Call)(...(args as never[])),
      good,
    );
    await everyOption(
      Pipeline.name,
      (given) => (pipeline as unknown as Call)(...([...good.slice(0, -1), given] as never[])),
      {},
      [
        "top_k",
        "aggregation_strategy",
        "pooling",
        "normalize",
        "max_answer_len",
        "function_to_apply",
        "ignore_labels",
        "none",
      ],
    );
    await own.dispose();
  }
  report();
});

test("tensors, criteria, processors", async () => {
  const tensor = new api.Tensor("int32", [1, 2, 3, 4], [2, 2]);
  await everyArgument("Tensor", (...args: unknown[]) => new api.Tensor(...(args as [never, never, never])), [
    "int32",
    [1, 2],
    [2],
  ]);
  await everyArgument("row", tensor.row.bind(tensor) as Call, [0]);
  await everyArgument("slice", tensor.slice.bind(tensor) as Call, [0, 1]);
  for (const [name, make, good] of [
    ["MaxLengthCriteria", (n: never) => new api.MaxLengthCriteria(n)._call([ids]), [3]],
    ["MaxTimeCriteria", (n: never) => new api.MaxTimeCriteria(n)._call([ids]), [3]],
    ["EosTokenCriteria", (n: never) => new api.EosTokenCriteria(n)._call([ids]), [3]],
    ["StopStringCriteria", (t: never, s: never) => new api.StopStringCriteria(t, s)._call([ids]), [tokenizer, "a"]],
    ["StoppingCriteriaList", (n: never) => new api.StoppingCriteriaList(n), [[]]],
    ["LogitsProcessorList", (n: never) => new api.LogitsProcessorList(n), [[]]],
  ] as const)
    await everyArgument(name, make as Call, good);
  report();
});

test("and the model is as it was", async () => {
  assert.equal(await answer(model), expected);
  console.log(`# ${calls} calls`);
  await model.dispose();
});

test.run();
