// Dense Mistral: the same as a file of llama.cpp's, without a checkpoint, and where its class is not the right one. Its
// values against transformers are in calls.test.ts.
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import {
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
  CheckpointError,
  InputError,
  MistralConfig,
  MistralForCausalLM,
  MistralModel,
  MixtralForCausalLM,
} from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, root, safetensors } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const path = join(root, "tests", "fixtures", "calls", "mistral");
const input_ids = [Array.from({ length: 40 }, (_, i) => (i * 37 + 5) % 150)];
const logitsOf = async (model: { (inputs: object): Promise<any> }): Promise<Float32Array> =>
  (await model({ input_ids, use_cache: false })).logits.data;

/** The checkpoint as llama.cpp's converter writes it: its names, and rows of q and k for rotating neighbours. */
async function toGGUF(file: string, divisors: Record<string, number[]> = {}, more: GGUFPair[] = []): Promise<void> {
  const config = (await AutoConfig.from_pretrained(path)) as MistralConfig;
  const { num_attention_heads: heads, num_key_value_heads: kv_heads, resolved_head_dim: dim } = config;
  const { tensors } = safetensors(join(path, "model.safetensors"));
  const list: GGUFTensor[] = [];
  const add = (name: string, from: string, permuted?: number) => {
    const { shape, data } = tensors[from];
    const values = data as Uint8Array; // bf16
    const width = shape.at(-1)! * 2;
    const rows = values.slice();
    for (let row = 0; permuted && row < permuted * dim; row++) {
      const [head, r] = [Math.floor(row / dim), row % dim];
      const source = head * dim + (r % 2) * (dim / 2) + Math.floor(r / 2);
      rows.set(values.subarray(source * width, (source + 1) * width), row * width);
    }
    list.push({ name, format: "BF16", shape, data: () => [rows] });
  };
  add("token_embd.weight", "model.embed_tokens.weight");
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`;
    add(`blk.${i}.attn_norm.weight`, `${layer}.input_layernorm.weight`);
    add(`blk.${i}.attn_q.weight`, `${layer}.self_attn.q_proj.weight`, heads);
    add(`blk.${i}.attn_k.weight`, `${layer}.self_attn.k_proj.weight`, kv_heads);
    add(`blk.${i}.attn_v.weight`, `${layer}.self_attn.v_proj.weight`);
    add(`blk.${i}.attn_output.weight`, `${layer}.self_attn.o_proj.weight`);
    add(`blk.${i}.ffn_norm.weight`, `${layer}.post_attention_layernorm.weight`);
    add(`blk.${i}.ffn_gate.weight`, `${layer}.mlp.gate_proj.weight`);
    add(`blk.${i}.ffn_up.weight`, `${layer}.mlp.up_proj.weight`);
    add(`blk.${i}.ffn_down.weight`, `${layer}.mlp.down_proj.weight`);
  }
  add("output_norm.weight", "model.norm.weight");
  add("output.weight", "lm_head.weight");
  const metadata: GGUFPair[] = [
    ["general.architecture", "string", "llama"],
    ["llama.context_length", "u32", config.max_position_embeddings],
    ["llama.embedding_length", "u32", config.hidden_size],
    ["llama.block_count", "u32", config.num_hidden_layers],
    ["llama.feed_forward_length", "u32", config.intermediate_size],
    ["llama.attention.head_count", "u32", heads],
    ["llama.attention.head_count_kv", "u32", kv_heads],
    ["llama.attention.key_length", "u32", dim],
    ["llama.attention.value_length", "u32", dim],
    ["llama.attention.sliding_window", "u32", config.sliding_window!],
    ["llama.attention.layer_norm_rms_epsilon", "f32", config.rms_norm_eps],
    ["llama.rope.dimension_count", "u32", dim],
    ["llama.vocab_size", "u32", config.vocab_size],
    ...more,
  ];
  for (const [name, values] of Object.entries(divisors)) {
    const data = () => [new Uint8Array(Float32Array.from(values).buffer)];
    list.push({ name, format: "F32", shape: [values.length], data });
  }
  const handle = openSync(file, "w");
  await writeGGUF({ write: async (bytes) => void writeSync(handle, bytes) }, metadata, list);
  closeSync(handle);
}

test("a GGUF of architecture llama without experts gives the bits of the checkpoint that it is of", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  try {
    const file = join(folder, "mistral.gguf");
    await toGGUF(file);
    await using gguf = await AutoModelForCausalLM.from_pretrained(file, { threads: 2 });
    assert.instance(gguf, MistralForCausalLM);
    await using own = await MistralForCausalLM.from_pretrained(path, { threads: 3, simd: "plain" });
    // f32's rounding of the file's epsilon apart, which these norms do not show.
    assert.ok(sameBits(await logitsOf(gguf as never), await logitsOf(own as never)));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a GGUF's tensors that divide the frequencies of rotary positions are longrope, of one list or two", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const config = (await AutoConfig.from_pretrained(path)).to_dict();
  const divisors = (most: number) => Array.from({ length: 8 }, (_, i) => Math.fround(1 + (most * i) / 8));
  const original: GGUFPair = ["llama.rope.scaling.original_context_length", "u32", 16];
  try {
    const file = join(folder, "mistral.gguf");
    for (const [tensors, metadata, rope] of [
      [{ "rope_freqs.weight": divisors(7) }, [], { short_factor: divisors(7), long_factor: divisors(7) }],
      [
        { "rope_factors_short.weight": divisors(1), "rope_factors_long.weight": divisors(5) },
        [original, ["llama.rope.scaling.attn_factor", "f32", 1.25], ["llama.rope.scaling.type", "string", "longrope"]],
        {
          short_factor: divisors(1),
          long_factor: divisors(5),
          original_max_position_embeddings: 16,
          attention_factor: 1.25,
        },
      ],
    ] as [Record<string, number[]>, GGUFPair[], object][]) {
      await toGGUF(file, tensors, metadata);
      await using gguf = await AutoModelForCausalLM.from_pretrained(file, { threads: 2 });
      const rope_parameters = { rope_type: "longrope", rope_theta: 1e4, attention_factor: 1, ...rope };
      await using own = await MistralForCausalLM.from_pretrained(path, { config: { ...config, rope_parameters } });
      await using plain = await MistralForCausalLM.from_pretrained(path);
      const logits = await logitsOf(gguf as never);
      assert.ok(sameBits(logits, await logitsOf(own as never)));
      assert.not.ok(sameBits(logits, await logitsOf(plain as never)));
    }
    for (const [tensors, message] of [
      [{ "rope_factors_long.weight": divisors(5) }, /rope_factors_short\.weight: missing/],
      [{ "rope_freqs.weight": divisors(5).slice(1) }, /short_factor.*expected 8 numbers/],
      [{ "rope_freqs.weight": divisors(5).fill(0) }, /short_factor/],
    ] as [Record<string, number[]>, RegExp][]) {
      await toGGUF(file, tensors);
      assert.match((await failure(AutoConfig.from_pretrained(file))).message, message);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("from_config: the same seed gives the same bits; the defaults are Mistral's", async () => {
  const config = new MistralConfig();
  assert.equal(
    [config.sliding_window, config.rms_norm_eps, config.rope_theta, config.num_key_value_heads, config.model_type],
    [4096, 1e-6, 1e4, 8, "mistral"],
  );
  assert.not.ok("num_local_experts" in config.to_dict());
  const shape = {
    vocab_size: 150,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
  };
  const small = { ...shape, num_key_value_heads: 2 };
  await using model = await MistralForCausalLM.from_config(small, { threads: 1, seed: 3 });
  await using again = await AutoModelForCausalLM.from_config(new MistralConfig(small), { threads: 2, seed: 3 });
  assert.ok(sameBits(await logitsOf(model as never), await logitsOf(again as never)));
  assert.instance(model.config, MistralConfig);
});

test("the trunk alone; what has no router gives no router logits", async () => {
  await using model = await AutoModel.from_pretrained(path, { threads: 2 });
  assert.instance(model, MistralModel);
  const { last_hidden_state } = await model({ input_ids });
  assert.equal(last_hidden_state.dims, [1, 40, 48]);
  const error = await failure(model({ input_ids, output_router_logits: true }));
  assert.instance(error, InputError);
  assert.match(error.message, /unknown option output_router_logits/);
});

test("a checkpoint of another class names its type", async () => {
  for (const [load, message] of [
    [() => MixtralForCausalLM.from_pretrained(path), /mistral: found model_type "mistral".*Auto classes/],
    [() => MistralForCausalLM.from_pretrained(demo), /demo: found model_type "mixtral"/],
    [() => AutoModelForSequenceClassification.from_pretrained(path), /expected model_type "mixtral".*found "mistral"/],
  ] as const) {
    const error = await failure(load() as Promise<unknown>);
    assert.instance(error, CheckpointError);
    assert.match(error.message, message);
  }
});

test.run();
