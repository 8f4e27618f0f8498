// Experts on demand: the same bits as with all experts in memory, whatever the budget, the threads and the chunks; counted
// as they come and go.
import { cpSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoConfig,
  InputError,
  type LoadOptions,
  MemoryError,
  type MixtralConfig,
  MixtralForCausalLM,
  type Tensor,
  TramontaneError,
} from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture, hasFixture } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const ids = Array.from({ length: 75 }, (_, i) => (i * 37 + 5) % 100);

/** Logits of a prompt, and then token by token, and of several rows at once. */
async function run(path: string, options: LoadOptions): Promise<Float32Array[]> {
  await using model = await MixtralForCausalLM.from_pretrained(path, options);
  const prompt = await model({ input_ids: ids, use_cache: true });
  const found = [prompt.logits.data as Float32Array];
  let cache = prompt.past_key_values!;
  for (const id of ids.slice(0, 12)) {
    const next = await model({ input_ids: [[id]], past_key_values: cache });
    found.push(next.logits.data as Float32Array);
    cache = next.past_key_values!;
  }
  const rows = await model({ input_ids: [ids.slice(0, 9), ids.slice(9, 18), ids.slice(30, 39)], use_cache: false });
  found.push(rows.logits.data as Float32Array);
  const { experts } = model.info();
  const wanted = options.memory_budget as number | undefined;
  assert.is(experts !== undefined, wanted !== undefined);
  if (experts) {
    assert.ok(experts.resident_bytes <= experts.budget_bytes);
    assert.ok(experts.misses > 0 && experts.read_bytes > 0 && experts.hits + experts.misses > 0);
    console.log(
      `# ${wanted}: ${experts.hits} hits, ${experts.misses} misses, ${(experts.read_bytes / 1e6).toFixed(1)} MB read`,
    );
  }
  return found;
}

const paths = [
  demo,
  ...["fixtures/gguf/models/Q4_K_M.gguf", "fixtures/hf/base", "fixtures/hf/fused"].filter(hasFixture).map(fixture),
];

/** A share that has room for two experts. */
const leastOf = (path: string): number => (path.includes("gguf") ? 0.3 : 0.13);

for (const path of paths)
  test(`${path}: the same bits under every budget`, async () => {
    const base = await run(path, { threads: 1 });
    const least = leastOf(path);
    for (const options of [
      { memory_budget: 0.99, threads: 2 },
      { memory_budget: 0.75, threads: 2 },
      { memory_budget: 0.5, threads: 3 },
      { memory_budget: 0.5, threads: 2, bank_bytes: 2 ** 22 },
      { memory_budget: least, threads: 1 },
      { memory_budget: least, threads: 2, chunk_size: 7 },
    ] as LoadOptions[]) {
      const found = await run(path, options);
      for (const [i, logits] of found.entries())
        assert.ok(sameBits(logits, base[i]), `${JSON.stringify(options)}: other bits in result ${i}`);
    }
  });

const tuned = ["experts_fused", "experts_v4", "all_linear"].find((name) => hasFixture(`fixtures/lora/${name}`))!;
test(`an adapter of experts that come and go: ${tuned}`, async () => {
  const logits = async (options: LoadOptions) => {
    await using model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/lora/base"), options);
    await model.load_adapter(fixture(`fixtures/lora/${tuned}`));
    const results = [await model({ input_ids: ids }), await model({ input_ids: ids.slice(0, 3), adapter: null })];
    assert.is(model.info().experts !== undefined, options.memory_budget !== undefined);
    return results.map((result) => result.logits.data as Float32Array);
  };
  const base = await logits({ threads: 2 });
  const found = await logits({ threads: 2, memory_budget: 0.6 });
  for (const [i, each] of found.entries()) assert.ok(sameBits(each, base[i]), `result ${i}`);
});

test("budgets that cannot be kept are refused by name", async () => {
  const refused = async (kind: new (...args: never[]) => Error, words: RegExp, options: object) => {
    const error = await failure(MixtralForCausalLM.from_pretrained(demo, options));
    assert.instance(error, kind);
    assert.match(error.message, words);
  };
  await refused(InputError, /^memory_budget: expected bytes, a share up to 1, or "auto", found -1/, {
    memory_budget: -1,
  });
  await refused(InputError, /^memory_budget: expected/, { memory_budget: "8G" });
  await refused(MemoryError, /^memory_budget: 1000 bytes hold 0 experts/, { memory_budget: 1000 });
  await refused(InputError, /mmap: true maps all/, { memory_budget: 0.5, mmap: true });
  await refused(InputError, /is made while the model loads/, { memory_budget: 0.5, dtype: "q4_0" });
});

test("a chunk of a prompt reads each expert once, however few there is room for", async () => {
  const path = fixture("fixtures/hf/base");
  const config = (await AutoConfig.from_pretrained(path)) as MixtralConfig;
  const expert = 3 * config.intermediate_size * config.hidden_size * 4; // F32
  const prompt = Array.from({ length: 120 }, (_, i) => (i * 37 + ((i * i) % 11)) % 100);
  for (const memory_budget of [0.13, 0.4, 0.8]) {
    await using model = await MixtralForCausalLM.from_pretrained(path, { memory_budget, chunk_size: 128, threads: 2 });
    const { router_logits } = await model({ input_ids: prompt, output_router_logits: true });
    // So many tokens want them all.
    for (const layer of router_logits!) assert.is(pickedOf(layer.tolist() as number[][]).size, 8);
    const all = config.num_hidden_layers * config.num_local_experts;
    const { read_bytes, hits, misses } = model.info().experts!;
    assert.is(read_bytes, all * expert, `${memory_budget}`);
    assert.is(hits + misses, all, `${memory_budget}`);
  }
});

/** The two experts of each row, of all rows. */
const pickedOf = (rows: readonly number[][]) =>
  new Set(rows.flatMap((row) => [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 2)));

test("all experts fit: nothing comes and goes", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { memory_budget: 1 });
  assert.is(model.info().experts, undefined);
});

/** Two answers at once, of which one begins while the other's prompt is read in chunks that pause. */
async function together(options: LoadOptions): Promise<number[][]> {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { ...options, chunk_size: 64, step_ms: 1 });
  const long = Array.from({ length: 200 }, (_, i) => (i * 31 + 7) % 1000);
  const first = model.generate({ input_ids: ids.slice(0, 5), max_new_tokens: 24, eos_token_id: -1 });
  const second = model.generate({ input_ids: long, max_new_tokens: 4, eos_token_id: -1 });
  return (await Promise.all([first, second])).map((tensor) => (tensor as Tensor).tolist()[0]);
}

test("a prompt that pauses for other tokens, each with experts of its own", async () => {
  const base = await together({});
  for (const memory_budget of [0.06, 0.13, 0.5]) assert.equal(await together({ memory_budget }), base);
});

test("a file that is cut short fails the calls by name, and disposing ends all", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-paging-"));
  try {
    cpSync(demo, folder, { recursive: true });
    await using model = await MixtralForCausalLM.from_pretrained(folder, { memory_budget: 0.06 });
    await model({ input_ids: ids.slice(0, 3) });
    truncateSync(join(folder, "model.safetensors"), 2_000_000);
    const error = await failure(
      (async () => {
        for (let i = 0; i < 50; i++) await model({ input_ids: ids.slice(i, i + 8) });
      })(),
    );
    assert.instance(error, TramontaneError);
    assert.match(error.message, /model\.safetensors/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("disposed in the midst of reading", async () => {
  const model = await MixtralForCausalLM.from_pretrained(demo, { memory_budget: 0.06, chunk_size: 16 });
  const call = failure(model({ input_ids: ids }) as Promise<unknown>);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await model.dispose();
  assert.match((await call).message, /the model was disposed/);
});

test.run();
