// tramontane/web on a page: the engine in a worker of its own, what the page gives it and gets, and the page's own thread,
// which stays free.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  InputError,
  MixtralForCausalLM,
  Tensor,
  TextStreamer,
} from "../../src/web/index.ts";

const at = (path: string) => new URL(path, location.href).href;
const demo = at("/models/demo/");
const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;

/** Tasks of the page's thread that took 50 ms or more, where the browser tells of them. */
const long: number[] = [];
if (PerformanceObserver.supportedEntryTypes.includes("longtask"))
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) long.push(duration);
  }).observe({ type: "longtask" });

test("a model answers, and says how many threads it has", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
  assert.instance(model, MixtralForCausalLM);
  assert.is(model.info().threads, isolated ? 2 : 1);
  const ids = (await model.generate({ input_ids: [1, 20, 300], max_new_tokens: 8 })) as Tensor;
  assert.instance(ids, Tensor);
  assert.equal(ids.dims, [1, 11]);
  const seen: number[] = [];
  const options = { input_ids: [1, 20, 300], max_new_tokens: 4 };
  const logits_processor = (_ids: number[][], scores: Tensor) => void seen.push(scores.dims[1]);
  await model.generate({ ...options, logits_processor });
  assert.equal(seen, Array(4).fill(model.config.vocab_size));
});

test("errors have the library's classes", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(demo);
  try {
    await model.generate({ input_id: [1] } as never);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, InputError);
    assert.is((error as InputError).name, "InputError");
    assert.match((error as InputError).message, /input_ids/);
  }
});

test("what it answers to is the page's text, and the page's thread is free meanwhile", async () => {
  const expected = await (await fetch(at("/models/demo/expected/expected.json"))).json();
  const [{ ask, reference }] = expected.facts;
  // What else the machine does makes tasks longer: one of some runs has to have none.
  for (let run = 0; run < 4 && (run === 0 || long.length > 0); run++) {
    long.length = 0;
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo);
    const messages = [{ role: "user", content: ask }];
    const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
    let told = "";
    const callback_function = (text: string) => {
      told += text;
    };
    const streamer = new TextStreamer(tokenizer, { skip_prompt: true, callback_function });
    let text = "";
    for await (const piece of model.stream({ ...inputs, max_new_tokens: 60, tokenizer, streamer })) text += piece;
    assert.is(text.trim(), reference);
    assert.is(told.trim(), reference);
    // The whole vocabulary of Mixtral.
    const large = await AutoTokenizer.from_pretrained(at("/fixture/tokenizers/mixtral/"), { file: "tokenizer.json" });
    assert.is(large.vocab_size, 32000);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(long, [], `tasks of ${long.map((ms) => ms.toFixed(0)).join(", ")} ms`);
});

test.run();
