// The base of fixtures/lora as a GGUF file, whose rows of q and k stand in another order.
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { fixture, json, safetensors } from "../fixtures.ts";

const config = json("fixtures/lora/base/config.json");

/** The base's values as f32. */
export function baseValues(): Map<string, { shape: number[]; data: Float32Array }> {
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

/** Matrices f32, or Q4_0, or f32 with the values that Q4_0 has. */
export type GGUFKind = "f32" | "q4_0" | "decoded";

/** The base as a GGUF. */
export async function loraBaseAsGGUF(kind: GGUFKind): Promise<Uint8Array> {
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
