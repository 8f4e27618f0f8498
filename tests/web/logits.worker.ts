// The same bits as in Node: the logits of checkpoints of every format, and a sampled answer, from picked files; by both builds,
// one thread and two, read whole and with a quarter of the experts in memory.
// runs in: chromium
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoTokenizer, type LoadOptions, MemoryError, MixtralForCausalLM } from "../../src/index.ts";
import { hashOf, sampledAnswer } from "../runtimes/logits.ts";
import { pick } from "./engine_here.ts";
import type { Expected } from "./expected.ts";

const { checkpoints, demo }: Expected = await (await fetch("/expected.json")).json();

const WAYS: readonly LoadOptions[] = [
  { simd: "plain", threads: 1 },
  { simd: "relaxed", threads: 2 },
  { simd: "relaxed", threads: 1, memory_budget: 0.25 },
  { simd: "plain", threads: 2, memory_budget: 0.25 },
];

/** Loads in one way; the model must be as it was told to be. Where a quarter holds no two experts, it gets two. */
async function load(path: string, options: LoadOptions): Promise<MixtralForCausalLM> {
  const model = await MixtralForCausalLM.from_pretrained(path, options).catch((error) => {
    if (!(error instanceof MemoryError)) throw error;
    return MixtralForCausalLM.from_pretrained(path, { ...options, memory_budget: error.needed });
  });
  const { simd, threads, mapped, reason } = model.info();
  assert.is(simd, options.simd);
  assert.is(threads, crossOriginIsolated ? options.threads : 1);
  assert.not(mapped);
  if (!crossOriginIsolated) assert.match(reason!, /^the page is not cross-origin isolated .*one thread computes/);
  assert.match(reason!, options.memory_budget ? /memory_budget was given/ : /a browser maps no files into memory/);
  return model;
}

/** What is made while it loads cannot be read again. */
const isMade = (name: string): boolean => !/^(GGUF|Hugging Face [Fbf\d]+$)/.test(name);

for (const [index, { name, files, options, hash }] of checkpoints.entries()) {
  test(`the logits of ${name}`, async () => {
    const path = await pick(files);
    // Two ways for each: one checkpoint takes these, the next the others.
    for (const way of WAYS.filter((_, i) => i % 2 === index % 2)) {
      const { memory_budget, ...whole } = way;
      await using model = await load(path, { ...options, ...(isMade(name) ? whole : way) });
      assert.is(await hashOf(model), hash, JSON.stringify(way));
      if (memory_budget && !isMade(name)) assert.ok(model.info().experts!.misses > 0);
    }
  });
}

test("a sampled answer", async () => {
  const path = await pick(demo.files);
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  for (const way of WAYS) {
    await using model = await load(path, way);
    assert.is(await sampledAnswer(model, tokenizer), demo.answer, JSON.stringify(way));
  }
});

test.run();
