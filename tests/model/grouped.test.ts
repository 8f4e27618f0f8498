// GPTQ's, AWQ's and compressed-tensors' checkpoints: the values of every matrix bit for bit, and Hugging Face's logits of
// those values within the fixtures' allowance for int8 activations per 32.
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Converters } from "../../src/convert/converters.ts";
import { type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { formats } from "../../src/quant/formats.ts";
import type { Tensor } from "../../src/tensor.ts";
import { bind } from "../../src/weights/bind.ts";
import type { MadeMatrix } from "../../src/weights/weights.ts";
import { groupedFile, groupedModel, smallGrouped, type Tensors } from "../checkpoint/grouped_small.ts";
import { Shop } from "../convert/shop.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";
import { logProbErrors, sameBits } from "./compare.ts";

/** What each folder's matrices are made as, where it is one format: F16 and BF16 are its other ones. */
const made: Record<string, string> = {
  awq_4_128: "INT4_128",
  awq_4_32: "INT4_32",
  ct_int8: "INT8_128",
  ct_w4_128: "INT4_128",
  ct_w4_32_asym: "INT4_32",
  ct_w4_64_g_idx: "INT4_32",
  ct_w8_row: "INT8_128",
  gptq_2_32_v2: "INT4_32",
  gptq_3_128: "INT4_128",
  gptq_4_128: "INT4_128",
  gptq_4_128_v2: "INT4_128",
  gptq_4_32_asym: "INT4_32",
  gptq_4_32_desc: "INT4_32",
  gptq_4_64_v2: "INT4_32",
  gptq_4_row_desc: "INT4_128",
  gptq_8_128: "INT8_128",
  gptq_old: "INT4_128",
};

const SET = "fixtures/gptq_awq";
const folders = hasFixture(SET)
  ? readdirSync(fixture(SET), { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  : [];
if (folders.length === 0) console.log(`# ${SET} is not there: weights/column_orders makes small ones`);
test("every folder is known", () => {
  assert.equal(folders.sort(), fixturesFrom === "../shared" ? Object.keys(made).sort() : []);
});

const shop = new Shop();

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The bytes of a matrix's values, its columns where the checkpoint has them. */
function inOrder(values: Float32Array, { rows, cols, order }: MadeMatrix): Uint8Array {
  const out = values.slice();
  if (order)
    for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[r * cols + order[c]] = values[r * cols + c];
  return new Uint8Array(out.buffer);
}

for (const folder of folders) {
  const path = fixture(`${SET}/${folder}`);
  const expected = json(`${SET}/${folder}/expected.json`);

  test(`${folder}: every value is the library's, bit for bit`, async () => {
    const checkpoint = await openCheckpoint(await repositoryAt(path));
    const weights = bind(checkpoint, "lm_head");
    const { q_proj, k_proj, v_proj, o_proj, experts } = weights.layers[0];
    const matrices = [q_proj, k_proj, v_proj, o_proj, ...experts.flatMap(({ w1, w2, w3 }) => [w1, w2, w3])];
    assert.is(matrices.length, Object.keys(expected.sha256_of_dequantized_f32).length);
    const converters = await Converters.start(await currentPlatform(), 2, matrices as MadeMatrix[]);
    for (const matrix of matrices as MadeMatrix[]) {
      const { name, rows, cols } = matrix;
      assert.is(matrix.format.name, made[folder], name);
      const values = shop.dequantize(matrix.format, await converters.bytes(matrix), rows * cols);
      assert.is(sha256(inOrder(values, matrix)), expected.sha256_of_dequantized_f32[name], name);
      // As what it decodes to, which is what odd shapes become.
      const { order: _, ...decoded } = { ...matrix, format: formats.F32, bytes: rows * cols * 4 };
      const bytes = await converters.bytes(decoded);
      assert.is(sha256(bytes), expected.sha256_of_dequantized_f32[name], `${name} as F32`);
    }
    await converters.dispose();
    await checkpoint.close();
  });

  test(`${folder}: logits and greedy answers`, async () => {
    const { tensors } = safetensors(fixture(`${SET}/${folder}/expected.safetensors`));
    const truth = tensors.logits.data as Float32Array;
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    assert.is(model.info().formats[made[folder]], 13);
    const { logits } = await model({ input_ids: [Array.from(tensors.input_ids.data, Number)] });
    const errors = logProbErrors(logits.data as Float32Array, truth, logits.dims[2]);
    const allowance = expected.allowance.int8_activations_per_32;
    const shown = Object.entries(errors).map(([name, value]) => `${name} ${value.toExponential(1)}/${allowance[name]}`);
    console.log(`# ${folder}: ${shown.join(", ")}`);
    for (const [name, value] of Object.entries(errors)) assert.ok(value <= allowance[name], `${name}: ${value}`);
    for (const { prompt, continuation } of expected.greedy) {
      const answer = (await model.generate({ input_ids: [prompt], max_new_tokens: continuation.length })) as Tensor;
      assert.equal(answer.tolist()[0].slice(prompt.length), continuation);
    }
  });
}

if (folders.length) {
  test("any number of threads gives the same bits, mapped or read", async () => {
    for (const folder of ["gptq_4_32_asym", "gptq_4_32_desc", "awq_4_128", "ct_w8_row"]) {
      const all = [];
      // The smallest memories hold an expert each, and its orders.
      for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 2, mmap: false }, { bank_bytes: 200_000 }]) {
        await using model = await MixtralForCausalLM.from_pretrained(fixture(`${SET}/${folder}`), options);
        const { logits } = await model({ input_ids: [[1, 5, 9, 77, 3, 2]], use_cache: false });
        all.push(Buffer.from((logits.data as Float32Array).slice().buffer));
      }
      for (const each of all) assert.is(Buffer.compare(each, all[0]), 0, folder);
    }
  });
}

/** Logits of some rows of ids, [rows, ids, vocabulary], of a model in memory; in parts of some lengths, one after the other. */
async function logitsOf(
  { config, tensors }: { config: object; tensors: Tensors },
  ids: number[][],
  parts: readonly number[],
  options: LoadOptions = {},
): Promise<Float32Array[]> {
  const files = memoryFiles({ "config.json": JSON.stringify(config), "model.safetensors": groupedFile(tensors) });
  const checkpoint = await openCheckpoint(files);
  await using model = await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 2, ...options });
  await checkpoint.close();
  const rows: number[][] = ids.map(() => []);
  let cache: Awaited<ReturnType<typeof model>>["past_key_values"];
  let at = 0;
  for (const length of parts) {
    const input_ids = ids.map((row) => row.slice(at, at + length));
    const { logits, past_key_values } = await model({ input_ids, ...(cache && { past_key_values: cache }) });
    cache = past_key_values!;
    const size = length * logits.dims[2];
    for (const [r, row] of rows.entries())
      row.push(...(logits.data as Float32Array).subarray(r * size, (r + 1) * size));
    at += length;
  }
  return rows.map((row) => Float32Array.from(row));
}

for (const [kind, of] of Object.entries(smallGrouped)) {
  const small = groupedModel(of);
  const ids = Array.from({ length: 3 }, (_, r) => Array.from({ length: 18 }, (_, i) => (7 * i + 11 * r) % 40));

  test(`small ${kind}: every way to compute gives the same bits`, async () => {
    const whole = await logitsOf(small, ids, [18]);
    for (const [parts, options] of [
      [[5, 1, 1, 3, 2, 6], {}],
      [[18], { simd: "plain", threads: 1 }],
      // The smallest memories hold an expert each, and its orders.
      [[9, 1, 8], { threads: 3, bank_bytes: 160_000 }],
    ] as const)
      for (const [r, row] of (await logitsOf(small, ids, parts, options)).entries())
        assert.ok(sameBits(row, whole[r]), `${parts} ${JSON.stringify(options)} row ${r}`);
    // One, two and three rows of a step.
    for (const count of [1, 2]) {
      const few = await logitsOf(small, ids.slice(0, count), [4, ...Array.from({ length: 14 }, () => 1)]);
      for (const [r, row] of few.entries()) assert.ok(sameBits(row, whole[r]), `${count} rows`);
    }
  });

  test(`small ${kind}: logits are those of the same values as F32, but for int8 activations`, async () => {
    const [found, truth] = [await logitsOf(small, ids, [18]), await logitsOf(small.plain, ids, [18])];
    const errors = found.map((row, r) => logProbErrors(row, truth[r], 40));
    const spread = Math.sqrt(truth[0].reduce((sum, x) => sum + x * x, 0) / truth[0].length);
    const worst = Math.max(...errors.map(({ rms }) => rms / spread));
    console.log(`# small ${kind}: log-probabilities ${worst.toExponential(1)} of the logits' size from those of F32`);
    // Products of random numbers cancel, and activations are rounded to 1/254 of a block's largest: 3 to 7 %. Where one of
    // the matrices meets its columns in another order, it is 140 % and more.
    assert.ok(worst < 0.1);
  });
}

test.run();
