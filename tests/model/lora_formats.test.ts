// Adapters on other formats of the base: a GGUF, whose rows of q and k stand in another order, against PEFT; and quantized
// weights, whose products are the base's own while what is added is in f32, against readable twins.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { MixtralForCausalLM, type Tensor } from "../../src/index.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { largestDifference, sameBits } from "./compare.ts";

const folders = ["q_v", "patterns", "experts_fused", "all_linear", "head_and_embedding_lora", "w2_and_gate_v4"].filter(
  (name) => hasFixture(`fixtures/lora/${name}`),
);
assert.is(folders.length, fixturesFrom === "../shared" ? 6 : 3);
const adapterAt = (name: string) => fixture(`fixtures/lora/${name}`);
const config = json("fixtures/lora/base/config.json");
const { input_ids } = json("fixtures/lora/w2_and_gate_v4/expected.json");

/** The base's values as f32. */
function baseValues(): Map<string, { shape: number[]; data: Float32Array }> {
  const { tensors } = safetensors(fixture("fixtures/lora/base/model.safetensors"));
  return new Map(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const bf16 = new Uint16Array((data as Uint8Array).buffer);
      return [name, { shape, data: new Float32Array(Uint32Array.from(bf16, (half) => half << 16).buffer) }];
    }),
  );
}

/** Blocks of Q4_0, as ggml's reference makes them: the largest value is −8 times the scale, kept as an f16. */
function q4_0(values: Float32Array): { bytes: Uint8Array; decoded: Float32Array } {
  const bytes = new Uint8Array((values.length / 32) * 18);
  const decoded = new Float32Array(values.length);
  for (let b = 0; b < values.length / 32; b++) {
    const block = values.subarray(32 * b, 32 * b + 32);
    const most = block.reduce((a, v) => (Math.abs(v) > Math.abs(a) ? v : a), 0);
    // A power of two is an f16, and as good for this test.
    const exponent = most === 0 ? -14 : Math.ceil(Math.log2(Math.abs(most) / 8));
    const scale = 2 ** exponent;
    bytes[18 * b + 1] = (exponent + 15) << 2;
    for (const [i, v] of block.entries()) {
      const code = Math.min(15, Math.max(0, Math.round(v / scale) + 8));
      bytes[18 * b + 2 + (i % 16)] |= i < 16 ? code : code << 4;
      decoded[32 * b + i] = (code - 8) * scale;
    }
  }
  return { bytes, decoded };
}

/** Rows of a head as GGUF has them: pairs that are rotated beside each other. */
function interleaved({ shape, data }: { shape: number[]; data: Float32Array }, heads: number): Float32Array {
  const [rows, cols] = shape;
  const size = rows / heads;
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    const [head, within] = [Math.floor(r / size), r % size];
    const to = head * size + (within < size / 2 ? 2 * within : 2 * (within - size / 2) + 1);
    out.set(data.subarray(r * cols, (r + 1) * cols), to * cols);
  }
  return out;
}

const names: [RegExp, string][] = [
  [/^model\.embed_tokens/, "token_embd"],
  [/^model\.norm/, "output_norm"],
  [/^lm_head/, "output"],
  [/^model\.layers\.(\d+)\.input_layernorm/, "blk.$1.attn_norm"],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, "blk.$1.ffn_norm"],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, "blk.$1.attn_output"],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, "blk.$1.attn_$2"],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.gate/, "blk.$1.ffn_gate_inp"],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.w1/, "blk.$1.ffn_gate.$2"],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.w2/, "blk.$1.ffn_down.$2"],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.w3/, "blk.$1.ffn_up.$2"],
];

/** The base as a GGUF: matrices f32, or Q4_0, or f32 with the values that Q4_0 has. */
async function gguf(kind: "f32" | "q4_0" | "decoded"): Promise<Uint8Array> {
  const metadata: GGUFPair[] = [
    ["general.architecture", "string", "llama"],
    ["llama.block_count", "u32", config.num_hidden_layers],
    ["llama.context_length", "u32", config.max_position_embeddings],
    ["llama.embedding_length", "u32", config.hidden_size],
    ["llama.feed_forward_length", "u32", config.intermediate_size],
    ["llama.attention.head_count", "u32", config.num_attention_heads],
    ["llama.attention.head_count_kv", "u32", config.num_key_value_heads],
    ["llama.attention.layer_norm_rms_epsilon", "f32", config.rms_norm_eps],
    ["llama.expert_count", "u32", config.num_local_experts],
    ["llama.expert_used_count", "u32", config.num_experts_per_tok],
    ["llama.rope.freq_base", "f32", config.rope_parameters.rope_theta],
    ["llama.vocab_size", "u32", config.vocab_size],
  ];
  const tensors = [...baseValues()].map(([name, value]): GGUFTensor => {
    const [from, to] = names.find(([pattern]) => pattern.test(name))!;
    const heads = /q_proj/.test(name) ? config.num_attention_heads : config.num_key_value_heads;
    let data = /[qk]_proj/.test(name) ? interleaved(value, heads) : value.data;
    const quantized = kind !== "f32" && value.shape.length === 2 && !/gate\.weight|lm_head|embed/.test(name);
    const blocks = quantized ? q4_0(data) : undefined;
    if (blocks && kind === "decoded") data = blocks.decoded;
    const packed = blocks && kind === "q4_0";
    const bytes = packed ? blocks.bytes : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return {
      name: name.replace(from, to).replace(/(\.weight)?$/, ".weight"),
      format: packed ? "Q4_0" : "F32",
      shape: value.shape,
      data: () => [bytes],
    };
  });
  const pieces: Uint8Array[] = [];
  await writeGGUF({ write: async (bytes) => void pieces.push(bytes.slice()) }, metadata, tensors);
  return Buffer.concat(pieces);
}

async function load(kind: Parameters<typeof gguf>[0]): Promise<MixtralForCausalLM> {
  const checkpoint = await openCheckpoint(memoryFiles({ "m.gguf": await gguf(kind) }, "m.gguf"));
  try {
    return await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 2 });
  } finally {
    await checkpoint.close();
  }
}

test("on a GGUF: PEFT's logits", async () => {
  await using model = await load("f32");
  let worst = 0;
  for (const name of folders) {
    await model.load_adapter(adapterAt(name), { adapter_name: name });
    const { tensors } = safetensors(fixture(`fixtures/lora/${name}/expected.safetensors`));
    const { logits } = await model({
      input_ids: json(`fixtures/lora/${name}/expected.json`).input_ids,
      use_cache: false,
    });
    worst = Math.max(worst, largestDifference(logits, tensors.logits));
  }
  console.log(`# adapters on a GGUF differ from PEFT by ${worst.toExponential(1)}`);
  assert.ok(worst <= 1e-3, `differs by ${worst}, allowed 1e-3`);
});

/** The mean difference of two tensors of logits. */
function meanDifference(a: Tensor, b: Tensor): number {
  let sum = 0;
  for (const [i, value] of (a.data as Float32Array).entries()) sum += Math.abs(value - (b.data as Float32Array)[i]);
  return sum / a.data.length;
}

test("on Q4_0: no further from the same values in f32 than without an adapter", async () => {
  // What differs is that products with Q4_0 take activations of 8 bits: on every base that costs what it costs on its
  // own, and what an adapter adds costs nothing. Factor 2: the adapters make other activations of it.
  await using quantized = await load("q4_0");
  await using twin = await load("decoded");
  const inputs = { input_ids, use_cache: false };
  const of = async (model: MixtralForCausalLM) => (await model(inputs)).logits;
  const without = meanDifference(await of(quantized), await of(twin));
  assert.ok(without > 1e-4, "activations are rounded");
  for (const name of folders) {
    const before = await of(quantized);
    for (const model of [quantized, twin]) await model.load_adapter(adapterAt(name), { adapter_name: name });
    const changed = await of(quantized);
    assert.not.ok(sameBits(before.data as Float32Array, changed.data as Float32Array));
    const difference = meanDifference(changed, await of(twin));
    console.log(`# ${name} on Q4_0: ${difference.toExponential(1)} in the mean, without ${without.toExponential(1)}`);
    assert.ok(difference <= 2 * without, `${name}: ${difference}, without an adapter ${without}`);
  }
});

test("on Q4_0: what is added to head and embedding is what a twin adds", async () => {
  await using model = await load("q4_0");
  await model.load_adapter(adapterAt("head_and_embedding_lora"));
  const { tensors } = safetensors(fixture("fixtures/lora/head_and_embedding_lora/adapter_model.safetensors"));
  const part = (name: string) => tensors[`base_model.model.${name}`].data as Float32Array;
  const scale = 16 / 4;
  const { hidden_size: H, vocab_size: V } = config;
  const values = baseValues();

  const out = await model({ input_ids, use_cache: false, output_hidden_states: true });
  const [embedA, embedB] = [part("model.embed_tokens.lora_embedding_A"), part("model.embed_tokens.lora_embedding_B")];
  const [headA, headB] = [part("lm_head.lora_A.weight"), part("lm_head.lora_B.weight")];
  const table = values.get("model.embed_tokens.weight")!.data;
  const head = values.get("lm_head.weight")!.data;
  const found = { embedding: 0, head: 0 };
  const tokens = input_ids.flat() as number[];
  for (const [t, token] of tokens.entries()) {
    const x = out.hidden_states![0].data as Float32Array;
    for (let h = 0; h < H; h++) {
      let expected = table[token * H + h];
      for (let j = 0; j < 4; j++) expected += scale * embedB[h * 4 + j] * embedA[j * V + token];
      found.embedding = Math.max(found.embedding, Math.abs(x[t * H + h] - expected));
    }
    const last = (out.hidden_states!.at(-1)!.data as Float32Array).subarray(t * H, (t + 1) * H);
    const dot = (row: Float32Array, from: number) => last.reduce((sum, v, i) => sum + v * row[from + i], 0);
    const inner = [0, 1, 2, 3].map((j) => dot(headA, j * H));
    for (let v = 0; v < V; v++) {
      const expected = dot(head, v * H) + scale * inner.reduce((sum, u, j) => sum + u * headB[v * 4 + j], 0);
      found.head = Math.max(found.head, Math.abs((out.logits.data as Float32Array)[t * V + v] - expected));
    }
  }
  // 1e-5: sums of 64 products in f32 against f64, on values of up to 10.
  assert.ok(found.embedding < 1e-6 && found.head < 1e-5, JSON.stringify(found));
});

test.run();
