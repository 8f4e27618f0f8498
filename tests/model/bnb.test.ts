// bitsandbytes' checkpoints against Hugging Face, and a checkpoint that is quantized while it loads against those.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { InputError } from "../../src/errors.ts";
import { BitsAndBytesConfig, type BitsAndBytesOptions, type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import type { Tensor } from "../../src/tensor.ts";
import { failure } from "../failure.ts";
import { fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { largestDifference, sameBits } from "./compare.ts";

/** float32 sums in another order: the fixtures' README. */
const TOLERANCE = 1e-3;

const path = (folder: string) => fixture(`fixtures/bnb/${folder}`);
const expectedOf = (folder: string) => ({
  ...json(`fixtures/bnb/${folder}/expected.json`),
  arrays: safetensors(fixture(`fixtures/bnb/${folder}/expected.safetensors`)).tensors,
});

/** A folder with some of its config's quantization_config replaced. */
async function changed(folder: string, quantization: object, options: LoadOptions = {}): Promise<MixtralForCausalLM> {
  const config = json(`fixtures/bnb/${folder}/config.json`);
  Object.assign(config.quantization_config, quantization);
  const weights = new Uint8Array(readFileSync(`${path(folder)}/model.safetensors`));
  const checkpoint = await openCheckpoint(
    memoryFiles({ "config.json": JSON.stringify(config), "model.safetensors": weights }),
  );
  try {
    return await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 2, ...options });
  } finally {
    await checkpoint.close();
  }
}

/** The copies have none of the folders: there, what is quantized while it loads alone is tested. */
const full = fixturesFrom === "../shared";
const testFull = full ? test : test.skip;

for (const [folder, formats] of Object.entries({
  nf4: { BNB_NF4: 32, BF16: 2 },
  nf4_double: { BNB_NF4: 32, BF16: 2 },
  nf4_gate_kept: { BNB_NF4: 32, BF16: 2 },
  fp4: { BNB_FP4: 32, BF16: 2 },
  v5_style: { BNB_NF4: 8, BF16: 26 },
  v5_fused: { BNB_NF4: 8, BF16: 26 },
}))
  testFull(`${folder}: logits, router logits and greedy answers are Hugging Face's`, async () => {
    const expected = expectedOf(folder);
    await using model = await MixtralForCausalLM.from_pretrained(path(folder), { threads: 2 });
    assert.equal(model.info().formats, formats);
    const { input_ids } = expected;
    const out = await model({ input_ids, output_router_logits: true });
    let worst = largestDifference(out.logits, expected.arrays.logits);
    for (const [i, logits] of out.router_logits!.entries())
      worst = Math.max(worst, largestDifference(logits, expected.arrays[`router_logits.${i}`]));
    console.log(`# ${folder}: largest difference ${worst.toExponential(2)}`);
    assert.ok(worst <= TOLERANCE, `${worst}`);
    const answers = (await model.generate({ input_ids, max_new_tokens: 12 })) as Tensor;
    assert.equal(answers.tolist(), expected.greedy);
  });

const values = (tensor: Tensor) => tensor.data as Float32Array;

async function logitsOf(model: MixtralForCausalLM, input_ids: number[][]): Promise<Float32Array> {
  return values((await model({ input_ids, use_cache: false })).logits);
}

const rms = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);

testFull("int8: without a threshold logits are those of the library's own products", async () => {
  const { input_ids, arrays } = expectedOf("int8");
  await using model = await changed("int8", { llm_int8_threshold: 0 });
  assert.equal(model.info().formats, { BNB_INT8: 34, BF16: 2 });
  const { logits } = await model({ input_ids });
  const difference = largestDifference(logits, arrays["llm_int8_logits.threshold_0.0"]);
  console.log(`# int8, threshold 0: largest difference ${difference.toExponential(2)}`);
  assert.ok(difference <= TOLERANCE, `${difference}`);
});

testFull(
  "int8: with a threshold a row's outliers are its own, and logits as near to exact ones as the library's",
  async () => {
    // The library takes a column out for all 28 rows of a product where one has an outlier. What a row that keeps it loses is
    // what quantizing loses elsewhere: both are off by it, on other values.
    const { input_ids, arrays } = expectedOf("int8");
    const [exact, library] = ["logits", "llm_int8_logits.threshold_6.0"].map(
      (name) => arrays[name].data as Float32Array,
    );
    await using model = await MixtralForCausalLM.from_pretrained(path("int8"), { threads: 2 });
    const found = await logitsOf(model, input_ids);
    const [ours, theirs, apart] = [rms(found, exact), rms(library, exact), rms(found, library)];
    console.log(
      `# int8, threshold 6: rms from exact activations ${ours}, the library's ${theirs}; from each other ${apart}`,
    );
    assert.ok(ours <= 1.1 * theirs, `${ours} from exact logits, the library ${theirs}`);
    assert.ok(apart <= theirs / 2, `${apart} from the library's logits`);
  },
);

/** Several ways to compute one thing, which must give the same bits. */
const ways: LoadOptions[] = [
  { threads: 1, simd: "plain" },
  { threads: 3, simd: "relaxed" },
  { threads: 2, chunk_size: 5 },
  { threads: 2, bank_bytes: 2 ** 17 },
];

for (const folder of ["nf4_double", "fp4", "int8"])
  testFull(`${folder}: the same bits whatever the threads, builds, chunks, banks and neighbours`, async () => {
    const { input_ids } = expectedOf(folder);
    let expected: Float32Array | undefined;
    for (const options of ways) {
      await using model = await MixtralForCausalLM.from_pretrained(path(folder), options);
      const found = await logitsOf(model, input_ids);
      expected ??= found;
      assert.ok(sameBits(found, expected), JSON.stringify(options));
      for (const [b, ids] of (input_ids as number[][]).entries()) {
        const row = expected.subarray((b * expected.length) / 2, ((b + 1) * expected.length) / 2);
        assert.ok(sameBits(await logitsOf(model, [ids]), row), `row ${b} alone, ${JSON.stringify(options)}`);
        // Read in two calls, and the last tokens one by one.
        const first = await model({ input_ids: [ids.slice(0, 9)] });
        const parts = [values(first.logits)];
        for (let at = 9; at < ids.length; at++) {
          const { logits } = await model({ input_ids: [[ids[at]]], past_key_values: first.past_key_values });
          parts.push(values(logits));
        }
        first.past_key_values!.dispose();
        assert.ok(sameBits(Float32Array.from(parts.flatMap((part) => [...part])), row), `row ${b} in parts`);
      }
    }
  });

const quantizations: [string, BitsAndBytesOptions][] = [
  ["nf4", { load_in_4bit: true, bnb_4bit_quant_type: "nf4" }],
  ["fp4", { load_in_4bit: true }],
  ["nf4_double", { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true }],
  ["nf4_gate_kept", { load_in_4bit: true, bnb_4bit_quant_type: "nf4", llm_int8_skip_modules: ["lm_head", "gate"] }],
  [
    "v5_style",
    { load_in_4bit: true, bnb_4bit_quant_type: "nf4", llm_int8_skip_modules: ["lm_head", "block_sparse_moe"] },
  ],
  ["int8", { load_in_8bit: true }],
];
for (const [folder, quantization] of quantizations)
  testFull(`full precision quantized while it loads gives the bits of ${folder}`, async () => {
    const { input_ids } = expectedOf(folder);
    await using stored = await MixtralForCausalLM.from_pretrained(path(folder), { threads: 2 });
    const expected = await logitsOf(stored, input_ids);
    for (const [quantization_config, mmap] of [
      [new BitsAndBytesConfig(quantization), "auto"],
      [quantization, false],
    ] as const) {
      await using model = await MixtralForCausalLM.from_pretrained(path("source"), {
        threads: 2,
        quantization_config,
        mmap,
      });
      assert.equal(model.info().formats, stored.info().formats);
      assert.ok(sameBits(await logitsOf(model, input_ids), expected));
    }
  });

testFull("the head is quantized where the modules to skip are named and it is not among them", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(path("source"), {
    quantization_config: { load_in_4bit: true, llm_int8_skip_modules: ["model.layers.0"] },
    dtype: "float32",
  });
  assert.equal(model.info().formats, { F32: 17, BNB_FP4: 17 });
  assert.ok((await logitsOf(model, [[1, 2, 3]])).every(Number.isFinite));
});

testFull("what cannot be quantized, or is so already, is refused by name", async () => {
  const load = (folder: string, quantization_config: unknown) =>
    failure(MixtralForCausalLM.from_pretrained(folder, { quantization_config } as LoadOptions));
  const four = { load_in_4bit: true };
  for (const [folder, quantization, message] of [
    [path("source"), true, /quantization_config: new BitsAndBytesConfig\(\{ load_in_4bit: true/],
    [path("source"), {}, /expected load_in_4bit or load_in_8bit to be true/],
    [path("source"), { load_in_4bits: true }, /unknown option load_in_4bits: did you mean load_in_4bit\?/],
    [path("source"), { load_in_4bit: true, load_in_8bit: true }, /both true/],
    [path("source"), { quant_method: "gptq", bits: 4 }, /quant_method: expected "bitsandbytes", found "gptq"/],
    [path("nf4"), { load_in_8bit: true }, /is quantized as nf4 already, and llm_int8 was asked for/],
    [path("nf4"), four, /is quantized as nf4 already, and fp4 was asked for/],
    [fixture("fixtures/gguf/models/Q4_K_M.gguf"), four, /is a GGUF/],
  ] as const) {
    const error = await load(folder, quantization);
    assert.match(error.message, message);
    assert.ok(error instanceof InputError || /both true|quant_method/.test(error.message), error.name);
  }
  const same = { load_in_4bit: true, bnb_4bit_quant_type: "nf4" } as const;
  await using model = await MixtralForCausalLM.from_pretrained(path("nf4"), {
    quantization_config: same,
    dtype: "bfloat16",
  });
  assert.equal(model.info().formats, { BNB_NF4: 32, BF16: 2 });
  const twice = await failure(MixtralForCausalLM.from_pretrained(path("nf4"), { dtype: "q8_0" }));
  assert.match(twice.message, /quantized already/);
  const random = { config: json("fixtures/bnb/source/config.json") };
  const none = await failure(MixtralForCausalLM.from_config(random.config, { quantization_config: four }));
  assert.match(none.message, /random weights/);
});

test("hf/base, whose rows are in part no whole blocks, is the same bits in every way, in each quantization", async () => {
  const input_ids = [Array.from({ length: 11 }, (_, i) => (i * 37 + 5) % 90)];
  for (const [quantization_config, formats] of [
    [
      { load_in_4bit: true, bnb_4bit_use_double_quant: true },
      { F32: 18, BNB_FP4: 40 },
    ],
    [
      { load_in_8bit: true, llm_int8_threshold: 1 },
      { F32: 2, BNB_INT8: 58 },
    ],
  ] as const) {
    let expected: Float32Array | undefined;
    for (const options of ways) {
      await using model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), {
        ...options,
        quantization_config,
      });
      assert.equal(model.info().formats, formats);
      const found = await logitsOf(model, input_ids);
      expected ??= found;
      assert.ok(found.every(Number.isFinite) && sameBits(found, expected), JSON.stringify(options));
    }
  }
});

test.run();
