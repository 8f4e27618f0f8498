// fixtures/hf/base as mistral-inference lays it out, which no copied fixture has.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fixture, safetensors } from "../fixtures.ts";
import { safetensorsFile } from "./safetensors.ts";

export const base = fixture("fixtures/hf/base");
const config = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
export const params = {
  dim: config.hidden_size,
  n_layers: config.num_hidden_layers,
  head_dim: config.hidden_size / config.num_attention_heads,
  hidden_dim: config.intermediate_size,
  n_heads: config.num_attention_heads,
  n_kv_heads: config.num_key_value_heads,
  norm_eps: config.rms_norm_eps,
  vocab_size: config.vocab_size,
  moe: { num_experts: config.num_local_experts, num_experts_per_tok: config.num_experts_per_tok },
};

/** Hugging Face's names to Mistral's. */
const renamed = (name: string): string =>
  name
    .replace("model.embed_tokens", "tok_embeddings")
    .replace("lm_head", "output")
    .replace("model.norm", "norm")
    .replace("model.layers", "layers")
    .replace("input_layernorm", "attention_norm")
    .replace("post_attention_layernorm", "ffn_norm")
    .replace(/self_attn\.([qkvo])_proj/, "attention.w$1")
    .replace("block_sparse_moe", "feed_forward");

/** The tensors as Mistral has them: rows of q and k of neighbours that rotate together side by side. */
export const native = Object.entries(safetensors(join(base, "model.safetensors")).tensors).map(
  ([name, { shape, data }]) => {
    const values = (data as Float32Array).slice();
    if (/[qk]_proj/.test(name)) {
      const [rows, width] = shape;
      for (let row = 0; row < rows; row++) {
        const [head, r] = [Math.floor(row / params.head_dim), row % params.head_dim];
        const from = head * params.head_dim + (r % 2) * (params.head_dim / 2) + Math.floor(r / 2);
        values.set((data as Float32Array).subarray(from * width, (from + 1) * width), row * width);
      }
    }
    return { name: renamed(name), shape, values };
  },
);

/** A safetensors file of some of them. */
export function fileOf(tensors: typeof native): Uint8Array {
  let at = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, shape, values }) => [
      name,
      { dtype: "F32", shape, data_offsets: [at, (at += values.byteLength)] },
    ]),
  );
  const bytes = tensors.map(({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return safetensorsFile(header, Buffer.concat(bytes));
}
