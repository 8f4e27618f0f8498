// One set of bits: over the plain and relaxed builds, thread counts, mapped and read weights, one bank and many, one chunk
// of prefill and many, alone and in a batch, with and without steps shared between calls.
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, MemoryError, MixtralForCausalLM } from "../../src/index.ts";
import { demo, fixture, fixturesFrom, hasFixture } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const ids = Array.from({ length: 75 }, (_, i) => (i * 37 + 5) % 100);

async function run(path: string, options: LoadOptions): Promise<Float32Array> {
  await using model = await MixtralForCausalLM.from_pretrained(fixture(path), options);
  const { logits } = await model({ input_ids: ids, use_cache: false });
  return logits.data as Float32Array;
}

// Each option with others: what one of them changes is found by leaving out the rest.
const ways: LoadOptions[] = [
  { threads: 2, simd: "relaxed", chunk_size: 2 },
  { threads: 2, simd: "plain", mmap: false, chunk_size: 7 },
  { threads: 3, mmap: false, chunk_size: 33 },
  { threads: 5, simd: "plain", chunk_size: 1 },
];

const all = [
  "fixtures/hf/base",
  "fixtures/hf/odd_sizes",
  "fixtures/hf/window_8",
  "fixtures/hf/bf16",
  "fixtures/hf/f16",
  "fixtures/hf/fused",
  "fixtures/gguf/forms/tiny-Q8_0.gguf",
  ...["F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_K_M"].map(
    (type) => `fixtures/gguf/models/${type}.gguf`,
  ),
  // Of each way that formats below 4.5 bits are multiplied one.
  ...["IQ1_S", "IQ1_M", "IQ2_XXS_mix", "IQ2_S", "IQ4_NL"].map((type) => `fixtures/gguf_iq/models/${type}.gguf`),
];
const checkpoints = all.filter(hasFixture);
if (checkpoints.length < all.length)
  console.log(`# ${all.length - checkpoints.length} of ${all.length} checkpoints are not among the copied fixtures`);
assert.is(checkpoints.length, fixturesFrom === "../shared" ? all.length : 6);

/** The smallest banks, in powers of two, that the checkpoint fits: its layers and experts are spread over several. */
async function smallestBanks(path: string): Promise<number> {
  for (let bytes = 1 << 16; ; bytes *= 2) {
    try {
      await using model = await MixtralForCausalLM.from_pretrained(fixture(path), { threads: 1, bank_bytes: bytes });
      assert.ok(model.info().banks > 1);
      return bytes;
    } catch (error) {
      if (!(error instanceof MemoryError)) throw error;
    }
  }
}

for (const path of checkpoints) {
  test(path, async () => {
    const base = await run(path, { threads: 1 });
    assert.ok(base.every(Number.isFinite));
    const bank_bytes = await smallestBanks(path);
    const spread = [
      { threads: 2, bank_bytes },
      { threads: 3, bank_bytes, mmap: false, chunk_size: 7 },
    ];
    for (const options of [...ways, ...spread]) {
      try {
        assert.ok(sameBits(await run(path, options), base), "other bits");
      } catch (error) {
        throw new Error(`${JSON.stringify(options)}: ${(error as Error).message}`);
      }
    }
  });
}

/** Of the demo model's logits for 300 ids. Who means to change bits changes this, and says so in CHANGELOG.md. */
const DEMO_LOGITS = "eb09981e2e3b294595c36ad61993b3295204a61466ca4f167ebafed05d906f6b";

test("the demo model's logits are the bits that they were", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const input_ids = Array.from({ length: 300 }, (_, i) => (i * 37 + 5) % 1500);
  const { data } = (await model({ input_ids, use_cache: false })).logits;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  assert.is(createHash("sha256").update(bytes).digest("hex"), DEMO_LOGITS);
});

test("kv_dtype f16, chunk by chunk", async () => {
  const path = "fixtures/hf/window_8";
  const base = await run(path, { threads: 1, kv_dtype: "f16" });
  for (const chunk_size of [1, 5, 8, 17])
    assert.ok(sameBits(await run(path, { threads: 2, kv_dtype: "f16", chunk_size }), base));
  assert.not.ok(sameBits(base, await run(path, { threads: 1 })), "f16 must round");
});

for (const path of ["fixtures/hf/base", "fixtures/hf/window_8", "fixtures/gguf/models/Q4_K_M.gguf"]) {
  test(`${path}: a row alone, in a batch, and in steps shared with other calls`, async () => {
    await using model = await MixtralForCausalLM.from_pretrained(fixture(path), { threads: 2 });
    const rows = [3, 11, 7, 20].map((length, r) => Array.from({ length }, (_, i) => (i * 31 + r * 17 + 3) % 150));
    const alone: Float32Array[] = [];
    for (const row of rows) alone.push((await model({ input_ids: row, use_cache: false })).logits.data as Float32Array);

    const width = Math.max(...rows.map((row) => row.length));
    const padded = rows.map((row) => [...Array(width - row.length).fill(0), ...row]);
    const attention_mask = rows.map((row) => [...Array(width - row.length).fill(0), ...Array(row.length).fill(1)]);
    const position_ids = rows.map((row) => [...Array(width - row.length).fill(0), ...row.keys()]);
    const { logits } = await model({ input_ids: padded, attention_mask, position_ids, use_cache: false });
    rows.forEach((row, r) => {
      const own = logits[r].slice(width - row.length).data;
      assert.ok(sameBits(own, alone[r]), `row ${r} in the batch`);
    });

    const together = await Promise.all(rows.map((row) => model({ input_ids: row, use_cache: false })));
    together.forEach((out, r) => {
      assert.ok(sameBits(out.logits.data as Float32Array, alone[r]), `call ${r} beside others`);
    });

    const options = { max_new_tokens: 30, do_sample: true, top_k: 20, seed: 7 };
    const answers: number[][] = [];
    for (const row of rows) answers.push((await model.generate({ ...options, input_ids: row })).tolist()[0]);
    const shared = await Promise.all(rows.map((row) => model.generate({ ...options, input_ids: row })));
    assert.equal(
      shared.map((out) => out.tolist()[0]),
      answers,
    );
  });
}

test("eager attention differs from the tiled kind by rounding alone", async () => {
  // 3e-5: float32 sums of up to 75 scores and values in another order, on logits of up to 10.
  for (const path of ["fixtures/hf/base", "fixtures/hf/odd_sizes", "fixtures/hf/window_8", "fixtures/hf/mqa"].filter(
    hasFixture,
  )) {
    const tiled = await run(path, { threads: 2 });
    let largest = 0;
    for (const options of [{ threads: 2 }, { threads: 3, chunk_size: 7 }] as LoadOptions[]) {
      const eager = await run(path, { ...options, attn_implementation: "eager" });
      for (const [i, value] of tiled.entries()) largest = Math.max(largest, Math.abs(value - eager[i]));
    }
    console.log(`# ${path}: eager differs by ${largest.toExponential(1)}`);
    assert.ok(largest > 0 && largest < 3e-5, `differs by ${largest}`);
  }
});

test.run();
