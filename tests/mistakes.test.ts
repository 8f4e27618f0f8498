// What users of other libraries write first, and what they are told: errors of this library's, each with what to write instead.
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TramontaneError } from "../src/errors.ts";
import * as tramontane from "../src/index.ts";
import { demo, root } from "./fixtures.ts";

const { AutoModelForCausalLM, AutoTokenizer, TextStreamer } = tramontane;
const path = demo;
const tokenizer = await AutoTokenizer.from_pretrained(path);
const model = await AutoModelForCausalLM.from_pretrained(path, { threads: 1 });
const inputs = tokenizer("Hello");
const { input_ids } = inputs;

/** A call with arguments that its types forbid. */
const wrongly = <T extends (...args: never[]) => unknown>(call: T, ...args: unknown[]) => call(...(args as never[]));
const generate = (...args: unknown[]) => wrongly((given: never) => model.generate(given), ...args);
const load = (...args: unknown[]) =>
  wrongly((...all: [never]) => AutoModelForCausalLM.from_pretrained(...all), ...args);
const template = (content: unknown, role = "user") =>
  tokenizer.apply_chat_template([{ role, content }, ...(role === "system" ? [{ role: "user", content: "Hi" }] : [])], {
    tokenize: false,
  });

/** What is written, and what the message must say. */
const mistakes: Record<string, readonly [() => unknown, RegExp]> = {
  "generate()": [() => generate(), /^generate: expected one object, { input_ids, … }, found nothing$/],
  "generate(text)": [() => generate("Hello"), /needs the model's tokenizer: generate\({ \.\.\.tokenizer\(text\) }\)/],
  "generate(ids, options)": [() => generate(input_ids, { top_k: 3 }), /expected one object, .*, found a Tensor$/],
  "generate without await": [() => generate(Promise.resolve(inputs)), /found a Promise \(is an await missing\?\)$/],
  "model()": [() => wrongly((given: never) => model(given)), /^model: expected one object, { input_ids, … }/],
  "a function as streamer": [
    () => generate({ ...inputs, streamer: () => {} }),
    /^streamer: .* new TextStreamer\(tokenizer, { callback_function }\)/,
  ],
  "a controller as signal": [
    () => generate({ ...inputs, signal: new AbortController() }),
    /^signal: expected an AbortSignal, found an AbortController: pass its signal$/,
  ],
  "new TextStreamer()": [
    () => new TextStreamer(undefined as never),
    /^TextStreamer: expected a tokenizer, found nothing$/,
  ],
  "new TextStreamer(model)": [
    () => new TextStreamer(model as never),
    /^TextStreamer: expected a tokenizer, found a MixtralForCausalLM$/,
  ],
  "from_pretrained(undefined)": [() => load(undefined), /^expected the path .*, found nothing$/],
  "ids without await": [() => generate({ input_ids: Promise.resolve([1]) }), /^input_ids: .* found a Promise/],
  "another device": [
    () => load(path, { device: "webgpu" }),
    /^device: expected one of "cpu", "wasm", "native", found "webgpu"$/,
  ],
  "transformers.js's dtype": [() => load(path, { dtype: "q4" }), /^dtype: .* found "q4": did you mean "q4_0"\?$/],
  "a message without content": [() => template(undefined), /\(messages\[0\] has no content\)$/],
  "a picture": [
    () => template([{ type: "image_url" }]),
    /\(messages\[0\]\.content\[0\] is no { type: "text", text }\)$/,
  ],
  "a system prompt": [() => template("Be brief.", "system"), /\(this template has no role "system": put its text/],
  "a text file as a model": [() => load(join(root, "README.md")), /the magic "GGUF", found "# Tr"/],
};

for (const [name, [call, expected]] of Object.entries(mistakes))
  test(name, async () => {
    let error: unknown;
    try {
      await call();
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error instanceof TramontaneError, `expected an error of this library's, found ${error}`);
    assert.match(error.message, expected);
  });

test("OpenAI's parts of a text are one, a line each, and bigints are ids, as in transformers.js", async () => {
  const parts = [
    { type: "text", text: "What is" },
    { type: "text", text: "pesto?" },
  ];
  assert.is(template(parts), template("What is\npesto?"));
  const ids = tokenizer.encode("Hello");
  const wanted = await model.generate({ input_ids: ids, max_new_tokens: 3 });
  for (const big of [ids.map(BigInt), [ids.map(BigInt)], BigInt64Array.from(ids, BigInt)])
    assert.equal((await model.generate({ input_ids: big, max_new_tokens: 3 })).tolist(), wanted.tolist());
});

/** Every call that takes options, with one that it cannot know. */
const wrong = { paddding: 1 } as object;
const calls: Record<string, () => unknown> = {
  "AutoModelForCausalLM.from_pretrained": () => load(path, wrong),
  "MixtralForCausalLM.from_pretrained": () => tramontane.MixtralForCausalLM.from_pretrained(path, wrong),
  "MixtralForCausalLM.from_config": () => tramontane.MixtralForCausalLM.from_config({}, wrong),
  "AutoTokenizer.from_pretrained": () => AutoTokenizer.from_pretrained(path, wrong),
  pipeline: () => tramontane.pipeline("text-generation", path, wrong),
  generate: () => model.generate({ ...inputs, ...wrong }),
  "generation_config of generate": () => model.generate({ ...inputs, generation_config: wrong }),
  stream: () => model.stream({ ...inputs, ...wrong }).next(),
  model: () => model({ ...inputs, ...wrong }),
  load_adapter: () => model.load_adapter(path, wrong),
  GenerationConfig: () => new tramontane.GenerationConfig(wrong),
  BitsAndBytesConfig: () => new tramontane.BitsAndBytesConfig(wrong),
  TextStreamer: () => new TextStreamer(tokenizer, wrong),
  ChatSession: () => new tramontane.ChatSession(model, tokenizer).send("Hello", wrong).next(),
  tokenizer: () => tokenizer("Hello", wrong),
  encode: () => tokenizer.encode("Hello", wrong),
  decode: () => tokenizer.decode([1], wrong),
  batch_decode: () => tokenizer.batch_decode([[1]], wrong),
  decode_stream: () => tokenizer.decode_stream(wrong),
  apply_chat_template: () => tokenizer.apply_chat_template([{ role: "user", content: "Hi" }], { ...wrong }),
  encode_messages: () => tokenizer.encode_messages([{ role: "user", content: "Hi" }], wrong),
  parse_tool_calls: () => tramontane.parse_tool_calls("Hi", wrong),
  "AutoConfig.from_pretrained": () => tramontane.AutoConfig.from_pretrained(path, wrong),
  download: () => tramontane.download("owner/name", wrong),
  "models.list": () => tramontane.models.list(wrong),
  perplexity: () => tramontane.perplexity(model, tokenizer, "Hi", wrong),
  quantize: () => tramontane.quantize(path, "nowhere", { type: "Q8_0", ...wrong }),
  imatrix: () => tramontane.imatrix(model, tokenizer, "text", "nowhere", wrong),
  convert: () => tramontane.convert(path, "nowhere", wrong),
  merge: () => tramontane.merge(path, [{ path }], "nowhere", wrong),
  configure: () => tramontane.configure(wrong),
};

for (const [name, call] of Object.entries(calls))
  test(`${name} refuses an option that it does not know`, async () => {
    let error: unknown;
    try {
      await call();
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error instanceof TramontaneError, `expected a refusal, found ${error}`);
    assert.match(error.message, /unknown option paddding: did you mean \w+\?$/);
  });

test.after(() => model.dispose());
test.run();
