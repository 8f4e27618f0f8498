// Adapters and bits: one set of them over thread counts, builds, chunks and banks; a sequence with some adapters gives the
// same alone, in a batch of others, and in steps shared with other calls. On quantized weights, what is added is what a
// readable twin adds.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, MemoryError, MixtralForCausalLM } from "../../src/index.ts";
import { fixture, hasFixture } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const base = fixture("fixtures/lora/base");
const names = ["experts_fused", "head_and_embedding_lora", "w2_and_gate_v4", "head_and_embedding_saved"].filter(
  (name) => hasFixture(`fixtures/lora/${name}`),
);
const ids = (length: number, seed = 5) => Array.from({ length }, (_, i) => (i * 37 + seed) % 160);

async function load(options: LoadOptions): Promise<MixtralForCausalLM> {
  const model = await MixtralForCausalLM.from_pretrained(base, options);
  for (const adapter_name of names)
    await model.load_adapter(fixture(`fixtures/lora/${adapter_name}`), { adapter_name });
  return model;
}

/** Each alone, and those that go together. */
const uses: (string | string[] | null)[] = [null, ...names, names.slice(0, 3)];

async function run(options: LoadOptions, length: number): Promise<Float32Array[]> {
  await using model = await load(options);
  const all: Float32Array[] = [];
  for (const adapter of uses)
    all.push((await model({ input_ids: ids(length), use_cache: false, adapter })).logits.data as Float32Array);
  return all;
}

test("threads, builds, mapped and read weights, chunks, banks", async () => {
  const length = 75;
  const expected = await run({ threads: 1 }, length);
  for (const [i, one] of expected.entries())
    for (const other of expected.slice(0, i)) assert.not.ok(sameBits(one, other), "adapters do something");
  let bank_bytes = 1 << 16;
  for (; ; bank_bytes *= 2) {
    try {
      await using model = await load({ threads: 1, bank_bytes });
      assert.ok(model.info().banks > 1);
      break;
    } catch (error) {
      if (!(error instanceof MemoryError)) throw error;
    }
  }
  for (const options of [
    { threads: 2 },
    { threads: 3, simd: "plain" },
    { threads: 2, mmap: false, chunk_size: 1 },
    { threads: 2, chunk_size: 3 },
    { threads: 3, chunk_size: 7 },
    { threads: 2, chunk_size: 33 },
    { threads: 3, bank_bytes },
    { threads: 2, bank_bytes, chunk_size: 2 },
  ] as LoadOptions[]) {
    const found = await run(options, length);
    for (const [i, values] of found.entries())
      assert.ok(sameBits(values, expected[i]), `${JSON.stringify(options)}: ${JSON.stringify(uses[i])}`);
  }
});

test("rows with other adapters in one batch, and calls with others in one step", async () => {
  await using model = await load({ threads: 2 });
  for (const length of [1, 3, 20]) {
    const rows = uses.map((_, i) => ids(length, 3 + 7 * i));
    const alone: Float32Array[] = [];
    for (const [i, adapter] of uses.entries())
      alone.push((await model({ input_ids: rows[i], use_cache: false, adapter })).logits.data as Float32Array);
    const { logits } = await model({ input_ids: rows, use_cache: false, adapter_names: uses });
    for (const i of uses.keys()) assert.ok(sameBits(logits[i].data, alone[i]), `row ${i} of ${length} in the batch`);
    const together = await Promise.all(
      uses.map((adapter, i) => model({ input_ids: rows[i], use_cache: false, adapter })),
    );
    for (const i of uses.keys())
      assert.ok(sameBits(together[i].logits.data as Float32Array, alone[i]), `call ${i} beside others`);
  }
});

test("generated: in a batch, in one step with others, in beams, by drafts and in a stream the same tokens", async () => {
  await using model = await load({ threads: 2, step_ms: 1, chunk_size: 32 });
  const settings = { max_new_tokens: 12, do_sample: true, seed: 3, eos_token_id: null };
  const rows = uses.map((_, i) => ids(40, 3 + 7 * i));
  const alone: number[][] = [];
  for (const [i, adapter] of uses.entries())
    alone.push((await model.generate({ ...settings, input_ids: rows[i], adapter })).tolist()[0]);
  assert.is(new Set(alone.map(String)).size, uses.length);
  const shared = await Promise.all(
    uses.map((adapter, i) => model.generate({ ...settings, input_ids: rows[i], adapter })),
  );
  assert.equal(
    shared.map((out) => out.tolist()[0]),
    alone,
  );
  const greedy = { max_new_tokens: 8, eos_token_id: null };
  const batch = (await model.generate({ ...greedy, input_ids: rows, adapter_names: uses })).tolist();
  const beams = (await model.generate({ ...greedy, input_ids: rows, adapter_names: uses, num_beams: 3 })).tolist();
  for (const [i, adapter] of uses.entries()) {
    const one = { ...greedy, input_ids: rows[i], adapter };
    assert.equal((await model.generate(one)).tolist()[0], batch[i]);
    assert.equal((await model.generate({ ...one, prompt_lookup_num_tokens: 3 })).tolist()[0], batch[i], "drafts");
    assert.equal((await model.generate({ ...one, num_beams: 3 })).tolist()[0], beams[i], "beams");
    const streamed: number[] = [];
    for await (const id of model.stream(one)) streamed.push(id);
    assert.equal(streamed, batch[i].slice(40), "a stream");
  }
});

test("several add up in one order, whatever they are called in", async () => {
  await using model = await load({ threads: 1 });
  const [a, b] = names;
  const run = async (adapter: string[]) =>
    (await model({ input_ids: ids(9), use_cache: false, adapter })).logits.data as Float32Array;
  assert.ok(sameBits(await run([a, b]), await run([b, a])));
  assert.ok(sameBits(await run([a, a]), await run([a])));
});

test.run();
