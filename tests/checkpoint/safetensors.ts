// A small writer of safetensors files, right or deliberately wrong.

export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** u64 length of the header, the header, the data. `length` may lie. */
export function safetensorsFile(header: unknown, data: number | Uint8Array = 0, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + (typeof data === "number" ? data : data.length));
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  if (typeof data !== "number") bytes.set(data, 8 + text.length);
  return bytes;
}

/** A file of F32 tensors one after another, all zeros. */
export function zeros(shapes: Record<string, number[]>, dtypes: Record<string, string> = {}): Uint8Array {
  const header: Record<string, Entry> = {};
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const dtype = dtypes[name] ?? "F32";
    const bytes = shape.reduce((a, b) => a * b, 1) * (dtype === "I8" ? 1 : dtype === "I64" ? 8 : 4);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  return safetensorsFile(header, at);
}

/** The smallest Mixtral: its config, and the shapes of its tensors. */
export const smallConfig = {
  model_type: "mixtral",
  architectures: ["MixtralForCausalLM"],
  vocab_size: 5,
  hidden_size: 4,
  intermediate_size: 3,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_local_experts: 2,
};

export const smallShapes = (): Record<string, number[]> => {
  const layer = "model.layers.0";
  const moe = `${layer}.block_sparse_moe`;
  return {
    "lm_head.weight": [5, 4],
    "model.embed_tokens.weight": [5, 4],
    "model.norm.weight": [4],
    [`${layer}.input_layernorm.weight`]: [4],
    [`${layer}.post_attention_layernorm.weight`]: [4],
    [`${layer}.self_attn.q_proj.weight`]: [4, 4],
    [`${layer}.self_attn.k_proj.weight`]: [2, 4],
    [`${layer}.self_attn.v_proj.weight`]: [2, 4],
    [`${layer}.self_attn.o_proj.weight`]: [4, 4],
    [`${moe}.gate.weight`]: [2, 4],
    [`${moe}.experts.0.w1.weight`]: [3, 4],
    [`${moe}.experts.0.w2.weight`]: [4, 3],
    [`${moe}.experts.0.w3.weight`]: [3, 4],
    [`${moe}.experts.1.w1.weight`]: [3, 4],
    [`${moe}.experts.1.w2.weight`]: [4, 3],
    [`${moe}.experts.1.w3.weight`]: [3, 4],
  };
};
