// Adapters that are damaged, of a kind that is not known, or for another model: each is refused by an error that names what
// is wrong and where, and its file is closed.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, MixtralForCausalLM } from "../../src/index.ts";
import { safetensorsFile } from "../checkpoint/safetensors.ts";
import { failure } from "../failure.ts";
import { fixture, json } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/lora/base"), { threads: 1 });
test.after(() => model.dispose());

const config = json("fixtures/lora/w2_and_gate_v4/adapter_config.json");
const good = new Uint8Array(readFileSync(fixture("fixtures/lora/w2_and_gate_v4/adapter_model.safetensors")));

type Tensors = Record<string, { shape: number[]; dtype?: string; value?: number }>;

/** A file of these tensors, one value everywhere. */
function file(tensors: Tensors): Uint8Array {
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { shape, dtype = "F32", value = 0.5 }] of Object.entries(tensors)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const data = dtype === "F32" ? new Uint8Array(new Float32Array(count).fill(value).buffer) : new Uint8Array(count);
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    parts.push(data);
    at += data.length;
  }
  return safetensorsFile(header, Buffer.concat(parts));
}

/** A and B of a module. */
const pair = (module: string, rank: number, cols: number, rows: number): Tensors => ({
  [`base_model.model.${module}.lora_A.weight`]: { shape: [rank, cols] },
  [`base_model.model.${module}.lora_B.weight`]: { shape: [rows, rank] },
});
const attention = "model.layers.0.self_attn";
const moe = "model.layers.0.block_sparse_moe";

async function load(files: Record<string, Uint8Array | string>, name?: string): Promise<void> {
  const repository = memoryFiles(files, name);
  try {
    await model.engine.adapters.loadFrom(repository, { adapter_name: "a" });
    await model.delete_adapter("a");
  } finally {
    assert.is(repository.counts.closed, repository.counts.opened);
    assert.equal(model.info().adapters, []);
  }
}

const folder = (tensors: Tensors | Uint8Array, changes: object = {}) => ({
  "adapter_config.json": JSON.stringify({ ...config, target_modules: ["q_proj"], ...changes }),
  "adapter_model.safetensors": tensors instanceof Uint8Array ? tensors : file(tensors),
});

const q = pair(`${attention}.q_proj`, 4, 64, 64);
const A = `base_model.model.${attention}.q_proj.lora_A.weight`;
const B = `base_model.model.${attention}.q_proj.lora_B.weight`;

test("what is right is taken", async () => {
  await load(folder(q));
  await load(folder(good, { target_modules: ["w2", "gate"] }));
  await load(folder(pair(`${attention}.q_proj`, 64, 64, 64), { r: 64 }));
  await load(folder(pair(`${moe}.gate`, 16, 64, 4), { r: 16 }));
  await load(folder({ ...q, "base_model.model.lm_head.modules_to_save.weight": { shape: [160, 64] } }));
  await load(folder({ "base_model.model.model.embed_tokens.base_layer.weight": { shape: [160, 64] } }));
});

/** What is wrong, the folder, what the error must say. */
const bad: [string, Record<string, Uint8Array | string>, RegExp][] = [
  ["nothing", {}, /adapter_config\.json: missing; an adapter's folder has it/],
  ["no weights", { "adapter_config.json": "{}" }, /peft_type: expected "LORA"/],
  [
    "a pickle",
    { "adapter_config.json": JSON.stringify(config), "adapter_model.bin": "x" },
    /adapter_model\.bin: PyTorch's pickle format, which runs code/,
  ],
  ["no file", { "adapter_config.json": JSON.stringify(config) }, /adapter_model\.safetensors: missing/],
  ["config of no JSON", { "adapter_config.json": "{", "adapter_model.safetensors": good }, /expected JSON/],
  ["prompt tuning", folder(q, { peft_type: "PROMPT_TUNING" }), /peft_type: expected "LORA".*found "PROMPT_TUNING"/],
  ["IA3", folder(q, { peft_type: "IA3" }), /found "IA3"/],
  ["no type", folder(q, { peft_type: null }), /found null/],
  ["DoRA", folder(q, { use_dora: true }), /use_dora: DoRA/],
  ["a bias", folder(q, { lora_bias: true }), /lora_bias: a bias beside B is not known/],
  ["trained tokens", folder(q, { trainable_token_indices: [1, 2] }), /trainable_token_indices: trained embeddings/],
  ["QALoRA", folder(q, { use_qalora: true }), /use_qalora/],
  ["aLoRA", folder(q, { alora_invocation_tokens: [1] }), /alora_invocation_tokens/],
  ["replicated layers", folder(q, { layer_replication: [[0, 1]] }), /layer_replication/],
  ["PiSSA", folder(q, { init_lora_weights: "pissa" }), /init_lora_weights: "pissa" changes the base's weights/],
  ["rank 0", folder(q, { r: 0 }), /r: expected an integer of 1 to 4096, found 0/],
  ["rank of text", folder(q, { r: "4" }), /r: expected an integer.*found "4"/],
  ["a huge rank", folder(q, { r: 1e9 }), /r: expected an integer/],
  ["alpha that is none", folder(q, { lora_alpha: null }), /lora_alpha: expected a number/],
  ["a pattern of ranks", folder(q, { rank_pattern: { q_proj: "x" } }), /rank_pattern: expected an integer.*q_proj/],
  ["patterns that are a list", folder(q, { rank_pattern: [4] }), /rank_pattern: expected an object/],
  ["a pattern without end", folder(q, { rank_pattern: { "(a+)+": 4 } }), /rank_pattern: expected names, or patterns/],
  ["three repetitions", folder(q, { alpha_pattern: { ".*.*.*x": 4 } }), /at most two repetitions/],
  ["no regular expression", folder(q, { alpha_pattern: { "q(": 4 } }), /alpha_pattern: expected a regular expression/],
  [
    "another rank",
    folder(q, { r: 8 }),
    /q_proj: expected rank 8 by r and rank_pattern, found .*lora_A.weight.*\[4, 64\]/,
  ],
  ["A alone", folder({ [A]: q[A] }), /q_proj: expected A and B, found ".*lora_A\.weight" alone/],
  ["B alone", folder({ [B]: q[B] }), /found ".*lora_B\.weight" alone/],
  [
    "A of another width",
    folder({ ...q, [A]: { shape: [4, 65] } }),
    /expected \[4, 64\] for this model, found .*\[4, 65\]/,
  ],
  [
    "B of another height",
    folder({ ...q, [B]: { shape: [63, 4] } }),
    /expected \[64, 4\] for this model, found .*\[63, 4\]/,
  ],
  ["B of another rank", folder({ ...q, [B]: { shape: [64, 5] } }), /expected \[64, 4\]/],
  ["a list", folder({ ...q, [A]: { shape: [256] } }), /expected A of 1 to 4096 rows, found .*\[256\]/],
  ["three dimensions", folder({ ...q, [B]: { shape: [64, 4, 1] } }), /expected \[64, 4\]/],
  ["no rows", folder({ [A]: { shape: [0, 64] }, [B]: { shape: [64, 0] } }), /expected A of 1 to 4096 rows/],
  ["NaN", folder({ ...q, [B]: { shape: [64, 4], value: Number.NaN } }), /lora_B.weight: expected numbers, found NaN/],
  ["infinity", folder({ ...q, [A]: { shape: [4, 64], value: Infinity } }), /lora_A.weight: expected numbers/],
  [
    "integers",
    folder({ ...q, [A]: { shape: [4, 64], dtype: "I8" } }),
    /lora_A.weight: expected F32, F16 or BF16, found I8/,
  ],
  ["no tensors", folder({}), /expected tensors of an adapter, found none/],
  ["cut", folder(good.subarray(0, good.length - 1)), /data_offsets within/],
  ["not safetensors", folder(new Uint8Array(5)), /too short for a header/],
  [
    "a bias's tensor",
    folder({ ...q, [`base_model.model.${attention}.q_proj.bias`]: { shape: [64] } }),
    /q_proj\.bias: a bias/,
  ],
  [
    "a magnitude",
    folder({ ...q, [`base_model.model.${attention}.q_proj.lora_magnitude_vector`]: { shape: [64] } }),
    /lora_magnitude_vector: a magnitude of DoRA/,
  ],
  [
    "tokens",
    folder({ ...q, "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": { shape: [2, 64] } }),
    /trained embeddings of single tokens/,
  ],
  ["an unknown module", folder({ ...q, ...pair("model.layers.0.self_attn.qkv", 4, 64, 64) }), /qkv.*expected A or B/],
  ["a norm", folder({ ...q, "base_model.model.model.norm.weight": { shape: [64] } }), /norm\.weight: expected A or B/],
  ["a layer too many", folder(pair("model.layers.2.self_attn.q_proj", 4, 64, 64)), /expected a layer below 2/],
  ["an expert too many", folder(pair(`${moe}.experts.4.w1`, 4, 64, 96)), /expected an expert below 4/],
  ["a dense model's", folder(pair("model.layers.0.mlp.up_proj", 4, 64, 96)), /the model has 4 experts in each layer/],
  ["another head", folder(pair("score", 4, 64, 2)), /score: the model's class has the head lm_head/],
  [
    "another layer than it says",
    folder(q, { layers_to_transform: [1] }),
    /expected layers \[1\] alone \(layers_to_transform\), found one of layer 0/,
  ],
  [
    "a larger vocabulary",
    folder({ ...q, "base_model.model.lm_head.weight": { shape: [161, 64] } }),
    /lm_head: expected \[160, 64\] for this model, found .*\[161, 64\]/,
  ],
  [
    "a whole matrix of attention",
    folder({ [`base_model.model.${attention}.q_proj.weight`]: { shape: [64, 64] } }),
    /found a whole matrix, which this version takes for an embedding or a head alone/,
  ],
  [
    "experts of another count",
    folder(pair("model.layers.0.mlp.experts", 12, 96, 64)),
    /down_proj|rank 4 by r|expected A of 4 times/,
  ],
  [
    "one matrix twice",
    folder({ ...pair(`${moe}.experts.0.w2`, 4, 96, 64), ...pair("model.layers.0.mlp.experts", 16, 96, 64) }),
    /expected one pair for each matrix, found two for w2 of layer 0, expert 0/,
  ],
  [
    "twice in one module",
    folder({ ...q, [A.replace("lora_A", "lora_A.other")]: { shape: [4, 64] } }),
    /expected one tensor/,
  ],
];

for (const [what, files, words] of bad) {
  test(what, async () => {
    const error = await failure(load(files));
    assert.instance(error, CheckpointError, String(error));
    assert.match(error.message, words);
  });
}

test("a file in a folder's place", async () => {
  for (const [name, words] of [
    ["adapter_model.safetensors", /expected an adapter's folder/],
    ["adapter.gguf", /GGUF adapters are not read by this version/],
  ] as const) {
    const error = await failure(load({ [name]: good }, name));
    assert.instance(error, CheckpointError);
    assert.match(error.message, words);
  }
});

test("the base that it says it is for is told", async () => {
  const error = await failure(
    load(folder({ ...q, [A]: { shape: [4, 4096] } }, { base_model_name_or_path: "owner/large" })),
  );
  assert.match(error.message, /an adapter for owner\/large, as it says/);
});

test("the model is as it was", async () => {
  assert.is((await model({ input_ids: [1, 2] })).logits.dims[2], 160);
  assert.ok(bad.length > 45, `${bad.length}`);
});

test.run();
