// Conversations, pipelines, tokenizers and tools as a page has them: the same as of the library itself.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type * as Types from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { shape } from "../pipelines/shape.ts";
import "./connect.ts";
import { both, bothFail, plain, sides } from "./sides.ts";

const model_options = { threads: 1 };

test("a conversation: turns, what the cache holds of it, another answer, undone, with a system prompt", async () => {
  await both(async (side) => {
    const tokenizer = await side.AutoTokenizer.from_pretrained(demo);
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, model_options);
    const session = new side.ChatSession(model, tokenizer, { system: "Answer in one sentence." });
    const told: unknown[] = [];
    const tell = (answer: string) =>
      told.push(answer, session.finish_reason, session.prompt_tokens, session.cached_tokens, session.dropped);
    tell(await session.prompt("What is pesto made of?"));
    tell(await session.prompt("And what is mustard made of?", { max_new_tokens: 9 }));
    let again = "";
    for await (const text of session.regenerate({ do_sample: true, seed: 3, max_new_tokens: 9 })) again += text;
    tell(again);
    told.push(session.undo(), session.messages);
    for (let i = 0; i < 12; i++) await session.prompt("What is harissa made of?", { max_new_tokens: 20 });
    tell("long");
    session.reset();
    tell(await session.prompt("What is pesto made of?", { max_new_tokens: 5 }));
    session.dispose();
    return told;
  });
});

test("a conversation that is stopped keeps what was said", async () => {
  for (const [name, side] of sides) {
    const tokenizer = await side.AutoTokenizer.from_pretrained(demo);
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, model_options);
    const session = new side.ChatSession(model, tokenizer);
    const controller = new AbortController();
    let text = "";
    const error = await failure(
      (async () => {
        for await (const piece of session.send("What is pesto made of?", { signal: controller.signal })) {
          text += piece;
          if (text.length > 5) controller.abort();
        }
      })(),
    );
    assert.is((error as Error).name, "AbortError", name);
    assert.is(session.finish_reason, "aborted");
    assert.is(session.messages.length, 2);
    assert.ok(text.startsWith(session.messages[1].content as string) || session.messages[1].content!.startsWith(text));
    for await (const _ of session.send("And mustard?")) break;
    assert.is(session.messages.length, 4);
    // What the cache holds goes on.
    assert.ok((await session.prompt("And aioli?", { max_new_tokens: 4 })).length > 0);
    assert.ok(session.cached_tokens > 0);
  }
});

test("pipelines of every task", async () => {
  await both(async (side) => {
    const found: unknown[] = [];
    const generator = await side.pipeline("text-generation", demo, model_options);
    assert.instance(generator, side.TextGenerationPipeline);
    found.push(await generator("Mustard tastes", { max_new_tokens: 8 }));
    found.push(await generator([{ role: "user", content: "What is pesto made of?" }], { max_new_tokens: 30 }));
    found.push(await generator(["One", "Two and"], { max_new_tokens: 4, num_beams: 2 }));
    await generator.dispose();
    const features = await side.pipeline("feature-extraction", demo, model_options);
    found.push(plain(await features(["Pesto", "Mustard seeds"], { pooling: "mean", normalize: true })));
    await features.dispose();
    return found;
  });
  await bothFail((side) => side.pipeline("translation" as never, demo));
  await bothFail((side) => side.pipeline("text-classification", demo));
});

test("pipelines of heads, on a model of random weights with the demo's tokenizer", async () => {
  const labelled = { ...shape, num_labels: 3, pad_token_id: 0 };
  await both(async (side) => {
    const tokenizer = await side.AutoTokenizer.from_pretrained(demo);
    const found: unknown[] = [];
    const load = async <T extends "MixtralForSequenceClassification">(name: string) =>
      (await side[name as T].from_config(labelled, { seed: 4, ...model_options })) as never;
    await using texts = new side.TextClassificationPipeline(await load("MixtralForSequenceClassification"), tokenizer);
    found.push(await texts(["Pesto is green", "Mustard"], { top_k: 2 }));
    await using tokens = new side.TokenClassificationPipeline(await load("MixtralForTokenClassification"), tokenizer);
    found.push(await tokens("Pesto is green"));
    await using answers = new side.QuestionAnsweringPipeline(await load("MixtralForQuestionAnswering"), tokenizer);
    found.push(await answers("What is green?", "Pesto is green. Mustard is not.", { top_k: 2 }));
    return found;
  });
});

test("stop strings, which the engine finds by the page's tokenizer as it stands", async () => {
  await both(async (side) => {
    const tokenizer = await side.AutoTokenizer.from_pretrained(demo);
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, model_options);
    const inputs = tokenizer("Pesto is made of", { add_special_tokens: true });
    const options = { ...inputs, max_new_tokens: 40, stop_strings: [" oil", "."] };
    const ids = (await model.generate({ ...options, tokenizer })) as Types.Tensor;
    const found: unknown[] = [tokenizer.decode(ids.tolist()[0])];
    const stop = new side.StopStringCriteria(tokenizer, " oil");
    found.push(plain((await model.generate({ ...inputs, max_new_tokens: 40, stopping_criteria: stop })) as never));
    const interrupt = new side.InterruptableStoppingCriteria();
    let tokens = 0;
    const streamer = {
      put() {
        if (++tokens === 4) interrupt.interrupt();
      },
      end() {},
    };
    const cut = await model.generate({
      ...{ ...inputs, max_new_tokens: 200, eos_token_id: -1, stopping_criteria: interrupt, streamer },
      return_dict_in_generate: true,
    });
    assert.ok(cut.sequences.dims[1] < 150, `${cut.sequences.dims}`);
    return [...found, cut.finish_reasons];
  });
  await bothFail(async (side) => {
    await using model = await side.AutoModelForCausalLM.from_pretrained(demo, model_options);
    await model.generate({ input_ids: [1, 2], stop_strings: "x" });
  });
});

test("perplexity, quantizing, configs", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-port-"));
  try {
    await both(async (side) => {
      const tokenizer = await side.AutoTokenizer.from_pretrained(demo);
      await using model = await side.AutoModelForCausalLM.from_pretrained(demo, model_options);
      const text = "Pesto is made of basil and oil. ".repeat(20);
      const seen: number[] = [];
      const found: unknown[] = [
        await side.perplexity(model, tokenizer, text, {
          ...{ context: 64, stride: 32 },
          progress_callback: ({ loaded }) => void seen.push(loaded),
        }),
        seen.at(-1),
        (await side.AutoConfig.from_pretrained(demo)).to_dict(),
        (await side.models.usage({ cache_dir: folder })).bytes,
      ];
      const out = join(folder, `${found.length}.gguf`);
      const result = await side.quantize(demo, out, { type: "Q8_0" });
      rmSync(out);
      return [...found, { ...result, seconds: undefined }];
    });
    assert.equal(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
