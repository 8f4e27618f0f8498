// GPTQ's, AWQ's and compressed-tensors' checkpoints: the values of every matrix bit for bit, and Hugging Face's logits of
// those values within the fixtures' allowance for int8 activations per 32.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Converters } from "../../src/convert/converters.ts";
import { CheckpointError } from "../../src/errors.ts";
import { MixtralForCausalLM } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { formats } from "../../src/quant/formats.ts";
import type { Tensor } from "../../src/tensor.ts";
import { bind } from "../../src/weights/bind.ts";
import type { MadeMatrix } from "../../src/weights/weights.ts";
import { Shop } from "../convert/shop.ts";
import { failure } from "../failure.ts";
import { fixture, hasFixture, json, safetensors } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";
import { logProbErrors } from "./compare.ts";

/** What each folder's matrices are made as, where it is one format: F16 and BF16 are its other ones. */
const made: Record<string, string> = {
  awq_4_128: "INT4_128",
  awq_4_32: "INT4_32",
  ct_int8: "INT8_32",
  ct_w4_128: "INT4_128",
  ct_w4_32_asym: "INT4_32",
  ct_w4_64_g_idx: "Q8_0",
  ct_w8_row: "INT8_32",
  gptq_2_32_v2: "INT4_32",
  gptq_3_128: "INT4_128",
  gptq_4_128: "INT4_128",
  gptq_4_128_v2: "INT4_128",
  gptq_4_32_asym: "INT4_32",
  gptq_4_32_desc: "Q8_0",
  gptq_4_64_v2: "Q8_0",
  gptq_4_row_desc: "INT4_128",
  gptq_8_128: "INT8_32",
  gptq_old: "INT4_128",
};

const SET = "fixtures/gptq_awq";
const folders = hasFixture(SET)
  ? readdirSync(fixture(SET), { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  : [];
if (folders.length === 0) console.log(`# ${SET} is not there`);
else test("every folder is known", () => assert.equal(folders.sort(), Object.keys(made).sort()));

const shop = new Shop();

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
      // Eight bits in one group are as they are, in whatever order their inputs were.
      const one = folder === "gptq_8_128" && cols === 256 ? "Q8_0" : made[folder];
      assert.is(matrix.format.name, one, name);
      // What is encoded anew is exact until then.
      const exact = matrix.format.name === "Q8_0" ? { ...matrix, format: formats.F32, bytes: rows * cols * 4 } : matrix;
      const values = shop.dequantize(exact.format, await converters.bytes(exact), rows * cols);
      const hash = createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
      assert.is(hash, expected.sha256_of_dequantized_f32[name], name);
    }
    await converters.dispose();
    await checkpoint.close();
  });

  test(`${folder}: logits and greedy answers`, async () => {
    const { tensors } = safetensors(fixture(`${SET}/${folder}/expected.safetensors`));
    const truth = tensors.logits.data as Float32Array;
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    assert.is(model.info().formats[made[folder]], folder === "gptq_8_128" ? 10 : 13);
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
    for (const folder of ["gptq_4_32_asym", "awq_4_128", "ct_w8_row"]) {
      const all = [];
      for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 2, mmap: false }]) {
        await using model = await MixtralForCausalLM.from_pretrained(fixture(`${SET}/${folder}`), options);
        const { logits } = await model({ input_ids: [[1, 5, 9, 77, 3, 2]], use_cache: false });
        all.push(Buffer.from((logits.data as Float32Array).slice().buffer));
      }
      for (const each of all) assert.is(Buffer.compare(each, all[0]), 0, folder);
    }
  });

  test("settings and tensors that are not what they should be are refused by name", async () => {
    const refused = async (folder: string, change: (settings: any) => void, message: RegExp, drop?: string) => {
      const config = json(`${SET}/${folder}/config.json`);
      change(config.quantization_config);
      const bytes = new Uint8Array(readFileSync(`${fixture(`${SET}/${folder}`)}/model.safetensors`));
      const files = memoryFiles({
        "config.json": JSON.stringify(config),
        "model.safetensors": drop ? renamed(bytes, drop) : bytes,
      });
      const error = await failure(
        openCheckpoint(files).then(async (checkpoint) => {
          try {
            bind(checkpoint, "lm_head");
          } finally {
            await checkpoint.close();
          }
        }),
      );
      assert.instance(error, CheckpointError, folder);
      assert.match(error.message, message);
      assert.is(files.counts.opened, files.counts.closed);
    };
    await refused(
      "gptq_4_128",
      (q) => (q.bits = 5),
      /config\.json: quantization_config\.bits: expected 2, 3, 4 or 8, found 5/,
    );
    await refused("gptq_4_128", (q) => (q.bits = 8), /qzeros: expected I32 \[|scales: expected scales for/);
    await refused("gptq_4_128", (q) => (q.group_size = 64), /scales: expected scales for 128 inputs in groups of 64/);
    await refused("gptq_4_128", (q) => (q.group_size = "x"), /group_size: expected -1 or a number/);
    await refused("gptq_4_128", (q) => (q.checkpoint_format = "marlin"), /checkpoint_format: expected "gptq"/);
    await refused("gptq_4_128", (q) => (q.dynamic = { "+:.*": {} }), /dynamic/);
    await refused("gptq_4_32_desc", (q) => (q.desc_act = false), /g_idx: expected inputs in their order/);
    await refused("gptq_4_128", () => {}, /qzeros: missing/, "qzeros");
    await refused("awq_4_128", (q) => (q.version = "gemv"), /version: expected "gemm", found "gemv"/);
    await refused("awq_4_128", (q) => (q.bits = 3), /bits: expected 4/);
    await refused("awq_4_128", () => {}, /scales: missing/, "scales");
    await refused("ct_w4_128", (q) => (q.format = "float-quantized"), /format: expected "pack-quantized"/);
    await refused("ct_w4_128", () => {}, /weight_shape: missing/, "weight_shape");
    await refused("ct_int8", () => {}, /weight_scale|weight: expected F32, F16 or BF16/, "weight_scale");
    await refused("ct_w4_128", (q) => (q.quant_method = "hqq"), /quant_method "hqq": this version reads/);
  });
}

/** A file whose tensors of one ending have another name, as long. */
function renamed(bytes: Uint8Array, ending: string): Uint8Array {
  const text = Buffer.from(bytes)
    .toString("latin1")
    .replaceAll(`.${ending}"`, `.${"x".repeat(ending.length)}"`);
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

test.run();
