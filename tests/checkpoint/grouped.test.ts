// Settings and tensors of GPTQ, AWQ and compressed-tensors that are not what they should be: each is refused by its name, with
// what was expected and what was found.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { memoryFiles } from "../repositories.ts";
import type { SmallTensor } from "./bnb_small.ts";
import { type GroupedCase, groupedFile, groupedModel, smallGrouped, type Tensors } from "./grouped_small.ts";
import { outcome } from "./outcome.ts";

type Kind = keyof typeof smallGrouped;
const q_proj = "model.layers.0.self_attn.q_proj";

const models = new Map<unknown, ReturnType<typeof groupedModel>>();
function model(of: Kind | Omit<GroupedCase, "rows" | "cols">): ReturnType<typeof groupedModel> {
  let made = models.get(of);
  if (!made) models.set(of, (made = groupedModel(typeof of === "string" ? smallGrouped[of] : of)));
  return { config: made.config, tensors: { ...made.tensors } };
}

/** What opening and binding say of a small checkpoint with something changed. */
async function spoiled(
  of: Kind | Omit<GroupedCase, "rows" | "cols">,
  change: (settings: any, tensors: Tensors) => void,
): Promise<string | null> {
  const { config, tensors } = model(of);
  const copy = JSON.parse(JSON.stringify(config));
  change(copy.quantization_config, tensors);
  const files = { "config.json": JSON.stringify(copy), "model.safetensors": groupedFile(tensors) };
  const repository = memoryFiles(files);
  const message = await outcome(repository);
  assert.is(repository.counts.opened, repository.counts.closed);
  return message;
}

async function refused(
  of: Parameters<typeof spoiled>[0],
  list: readonly [change: (q: any, t: Tensors) => void, message: RegExp][],
) {
  for (const [change, message] of list) assert.match(String(await spoiled(of, change)), message, String(change));
}

const part = (suffix: string, change: Partial<SmallTensor>) => (_: unknown, tensors: Tensors) => {
  const name = `${q_proj}.${suffix}`;
  tensors[name] = { ...tensors[name], ...change };
};
const without = (suffix: string) => (_: unknown, tensors: Tensors) => void delete tensors[`${q_proj}.${suffix}`];
const resized = (suffix: string, dtype: string, shape: number[], bytes: number) =>
  part(suffix, { dtype, shape, bytes: new Uint8Array(bytes) });

test("the small checkpoints are right", async () => {
  for (const kind of Object.keys(smallGrouped) as Kind[]) assert.is(await spoiled(kind, () => {}), null, kind);
});

test("GPTQ's settings", () =>
  refused("gptq", [
    [(q) => (q.bits = 5), /config\.json: quantization_config\.bits: expected 2, 3, 4 or 8, found 5/],
    [(q) => (q.bits = "4"), /bits: expected 2, 3, 4 or 8, found "4"/],
    [(q) => delete q.bits, /bits: expected 2, 3, 4 or 8/],
    [(q) => (q.checkpoint_format = "marlin"), /checkpoint_format: expected "gptq" or "gptq_v2", found "marlin"/],
    [(q) => (q.checkpoint_format = "gptq_p"), /checkpoint_format: .* found "gptq_p"/],
    [(q) => Object.assign(q, { checkpoint_format: null, format: "gptq_p" }), /checkpoint_format: .* found "gptq_p"/],
    [(q) => (q.is_marlin_format = true), /is_marlin_format: expected false, found true/],
    [(q) => (q.pack_dtype = "int16"), /pack_dtype: expected "int32", found "int16"/],
    [(q) => (q.lm_head = true), /lm_head: expected false, found true/],
    [(q) => (q.dynamic = { "+:.*": {} }), /dynamic: expected one setting for all modules/],
    [(q) => (q.group_size = 0), /group_size: expected -1 or a number of inputs, found 0/],
    [(q) => (q.group_size = 32.5), /group_size: expected -1 or a number of inputs, found 32\.5/],
    [(q) => (q.group_size = "32"), /group_size: expected -1 or a number of inputs, found "32"/],
    [(q) => (q.quant_method = "hqq"), /quant_method "hqq": this version reads/],
    [(q) => (q.quant_method = "fp8"), /quant_method "fp8": this version reads/],
    [(q) => (q.desc_act = false), /g_idx: expected inputs in their order, as desc_act: false says, found another/],
  ]));

test("GPTQ's settings that its tensors contradict", () =>
  refused("gptq", [
    [(q) => (q.bits = 8), /qzeros: expected I32 \[\d+, \d+\], found I32/],
    [(q) => (q.bits = 3), /qweight: expected whole words of 3 bits for all inputs and outputs, found I32/],
    [(q) => (q.group_size = 64), /scales: expected scales for 128 inputs in groups of 64, found F16 \[4, \d+\]/],
    [(q) => (q.group_size = -1), /scales: expected scales for 128 inputs in groups of -1/],
  ]));

test("GPTQ's tensors", () =>
  refused("gptq", [
    [without("qzeros"), /q_proj\.qzeros: missing; expected I32 \[4, 16\]/],
    [without("scales"), /q_proj\.scales: missing; expected F16 or BF16 or F32 \[any, 128\]/],
    [without("qweight"), /q_proj\.weight: missing/],
    [resized("qweight", "F32", [16, 128], 8192), /q_proj\.qweight: expected I32 \[any, any\], found F32 \[16, 128\]/],
    [resized("qweight", "I32", [0, 128], 0), /q_proj\.qweight: expected I32 \[any, any\], found I32 \[0, 128\]/],
    [resized("qweight", "I32", [2048], 8192), /q_proj\.qweight: expected I32 \[any, any\], found I32 \[2048\]/],
    [resized("qweight", "I32", [32, 128], 16384), /q_proj\.(scales|g_idx): expected/],
    [resized("qweight", "I32", [16384, 1], 65536), /q_proj\.qweight: expected whole words of 4 bits/],
    [resized("qweight", "I32", [16400, 8], 524800), /q_proj\.scales: expected/],
    [resized("scales", "I8", [4, 128], 512), /q_proj\.scales: expected F16 or BF16 or F32 \[any, 128\], found I8/],
    [resized("scales", "F16", [5, 128], 1280), /q_proj\.qzeros: expected I32 \[5, 16\], found I32 \[4, 16\]/],
    [resized("g_idx", "I64", [128], 1024), /q_proj\.g_idx: expected I32 \[128\], found I64 \[128\]/],
    [resized("g_idx", "I32", [64], 256), /q_proj\.g_idx: expected I32 \[128\], found I32 \[64\]/],
    [
      part("g_idx", { bytes: new Uint8Array(Int32Array.from({ length: 128 }, (_, i) => i % 5).buffer) }),
      /q_proj\.g_idx: expected groups below 4, found 4/,
    ],
    [
      part("g_idx", { bytes: new Uint8Array(new Int32Array(128).fill(-1).buffer) }),
      /q_proj\.g_idx: expected groups below 4, found -1/,
    ],
    [resized("weight", "F32", [128, 128], 65536), /q_proj\.weight: expected it plain or as .*qweight, found both/],
    [
      part("bias", { dtype: "F16", shape: [128], bytes: new Uint8Array(256).fill(60) }),
      /q_proj\.bias: no model of this family has a bias there, and its effect would be lost: found F16 \[128\]/,
    ],
    [
      (_, tensors) => {
        for (const name of ["qweight", "qzeros", "scales", "g_idx"])
          tensors[`lm_head.${name}`] = tensors[`${q_proj}.${name}`];
      },
      /lm_head\.weight: expected F32, F16 or BF16 of an embedding or a head, found codes/,
    ],
    [
      (_, tensors) => {
        for (const name of Object.keys(tensors)) if (name.endsWith("qweight")) delete tensors[name];
      },
      /config\.json: quantization_config: expected quantized matrices, found no tensor …\.qweight/,
    ],
  ]));

test("a bias of zeros is none", async () => {
  const change = part("bias", {
    dtype: "F16",
    shape: [128],
    bytes: Uint8Array.from({ length: 256 }, (_, i) => (i % 2) * 128),
  });
  assert.is(await spoiled("gptq", change), null);
});

test("3 bits of rows that are no whole words are refused", () =>
  refused({ layout: "gptq", bits: 4, group: 32 }, [
    [
      (q, tensors) => {
        q.bits = 3;
        tensors[`${q_proj}.qweight`] = { dtype: "I32", shape: [12, 120], bytes: new Uint8Array(12 * 120 * 4) };
      },
      /q_proj\.qweight: expected whole words of 3 bits|qweight: expected whole words of 3 bits/,
    ],
  ]));

test("AWQ", () =>
  refused("awq", [
    [(q) => (q.version = "gemv"), /version: expected "gemm", found "gemv"/],
    [(q) => (q.version = "marlin"), /version: expected "gemm", found "marlin"/],
    [(q) => (q.version = 3), /version: expected "gemm", found 3/],
    [(q) => (q.bits = 3), /bits: expected 4, found 3/],
    [(q) => (q.group_size = 32), /scales: expected scales for 128 inputs in groups of 32, found F16 \[2, 128\]/],
    [without("qzeros"), /q_proj\.qzeros: missing; expected I32 \[2, 16\]/],
    [without("scales"), /q_proj\.scales: missing/],
    [resized("qzeros", "I32", [2, 15], 120), /q_proj\.qzeros: expected I32 \[2, 16\], found I32 \[2, 15\]/],
    [resized("qweight", "I32", [128, 8], 4096), /q_proj\.scales: expected F16 or BF16 or F32 \[any, 64\], found F16/],
  ]));

const weights = (q: any) => q.config_groups.group_0.weights;
test("compressed-tensors' settings", () =>
  refused("packed", [
    [(q) => (q.format = "float-quantized"), /format: expected "pack-quantized" or "int-quantized", found "float/],
    [(q) => (q.format = "marlin-24"), /format: expected "pack-quantized" or "int-quantized", found "marlin-24"/],
    [(q) => (q.transform_config = { R1: {} }), /transform_config: expected none/],
    [(q) => (q.sparsity_config = { format: "sparse-24-bitmask" }), /sparsity_config\.format: expected "dense"/],
    [(q) => (q.config_groups = {}), /config_groups: expected at least one group/],
    [(q) => (q.config_groups = "all"), /config_groups\.0\.weights: expected settings/],
    [(q) => (q.config_groups.group_0 = null), /config_groups\.group_0\.weights: expected settings/],
    [(q) => (q.config_groups.group_0.weights = null), /config_groups\.group_0\.weights: expected settings, found null/],
    [(q) => (q.config_groups.group_0.format = "int-quantized"), /group_0\.format: expected "pack-quantized"/],
    [(q) => (weights(q).type = "float"), /weights\.type: expected "int", found "float"/],
    [(q) => (weights(q).num_bits = 3), /weights\.num_bits: expected 2 or 4 or 8, found 3/],
    [(q) => (weights(q).strategy = "block"), /weights\.strategy: expected "group" or "channel", found "block"/],
    [(q) => (weights(q).group_size = null), /weights\.group_size: expected a number of inputs, found null/],
    [(q) => (weights(q).group_size = 64), /weight_packed: expected what .*config_groups .* found 4 bits, 4 groups/],
    [(q) => (weights(q).num_bits = 8), /weight_packed: expected what .*config_groups .* found 4 bits/],
    [(q) => (weights(q).symmetric = true), /weight_packed: expected what .* found 4 bits, 4 groups, zeros/],
    [(q) => (weights(q).actorder = "group"), /weight_packed: expected what .* found 4 bits, 4 groups, zeros/],
    [(q) => (weights(q).strategy = "channel"), /weight_packed: expected what .* found 4 bits, 4 groups/],
  ]));

test("compressed-tensors' tensors", async () => {
  const size = (...sizes: bigint[]) =>
    part("weight_shape", { bytes: new Uint8Array(BigInt64Array.from(sizes).buffer) });
  await refused("packed", [
    [without("weight_shape"), /q_proj\.weight_shape: missing; expected I64 \[2\]/],
    [without("weight_scale"), /q_proj\.weight_scale: missing/],
    [without("weight_zero_point"), /weight_packed: expected what .* found 4 bits, 4 groups, no zeros/],
    [size(128n, 0n), /weight_shape: expected \[128, inputs\] with 2, 4 or 8 bits each, found \[128, 0\] beside I32/],
    [size(128n, 100n), /weight_shape: expected .* found \[128, 100\]/],
    [size(128n, -128n), /weight_shape: expected .* found \[128, -128\]/],
    [size(127n, 128n), /weight_shape: expected .* found \[127, 128\]/],
    [size(128n, 2n ** 62n), /weight_shape: expected .* found \[128, 4611686018427387904\]/],
    // 2 bits, as which the words would do.
    [size(128n, 256n), /expected/],
    [resized("weight_scale", "BF16", [128, 5], 1280), /q_proj\.weight_(zero_point|packed): expected/],
    [resized("weight_g_idx", "I32", [64], 256), /q_proj\.weight_g_idx: expected I32 \[128\], found I32 \[64\]/],
  ]);
  await refused("int8", [
    [without("weight_scale"), /q_proj\.weight: expected F32, F16 or BF16 \[128, 128\], found I8 \[128, 128\]/],
    [resized("weight", "I8", [128, 64], 8192), /q_proj\.weight: expected \[128, 128\], found .*\[128, 64\]/],
    [resized("weight", "F32", [128, 128], 65536), /q_proj\.weight: expected I8 \[any, any\], found F32/],
    [resized("weight_scale", "BF16", [128, 3], 768), /weight: expected what .*config_groups .* found 8 bits, 3 groups/],
    [
      resized("weight_scale", "BF16", [64, 1], 128),
      /weight_scale: expected F16 or BF16 or F32 \[128, any\], found BF16/,
    ],
    [resized("weight_zero_point", "I8", [128, 1], 128), /weight_zero_point: expected symmetric codes/],
    [(q) => (weights(q).num_bits = 4), /weights\.num_bits: expected 8, found 4/],
  ]);
});

test.run();
