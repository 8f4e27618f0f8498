// A config as GGUF's metadata: the inverse of checkpoint/gguf_config.ts. Source: the keys that llama.cpp's converter writes
// for architecture `llama`, which Mixtral and Mistral are there.
import type { GGUFPair } from "../checkpoint/gguf_writer.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { fileName, show } from "../config/show.ts";
import { InputError } from "../errors.ts";

/**
 * @param path - the folder's, whose name becomes the model's
 * @throws {@link InputError} when the config has what GGUF has no key for
 */
export function configMetadata(config: PreTrainedConfig, path: string): GGUFPair[] {
  if (config.hidden_act !== "silu")
    throw new InputError(
      `${path}: hidden_act: expected "silu", the one that GGUF's llama has, found ${show(config.hidden_act)}`,
    );
  const head_dim = config.resolved_head_dim;
  const pairs: GGUFPair[] = [
    ["general.architecture", "string", "llama"],
    ["general.type", "string", "model"],
    ["general.name", "string", fileName(path.replace(/[\\/]+$/, "")) || "model"],
    ["llama.block_count", "u32", config.num_hidden_layers],
    ["llama.context_length", "u32", config.max_position_embeddings],
    ["llama.embedding_length", "u32", config.hidden_size],
    ["llama.feed_forward_length", "u32", config.intermediate_size],
    ["llama.attention.head_count", "u32", config.num_attention_heads],
    ["llama.attention.head_count_kv", "u32", config.num_key_value_heads],
    ...ropePairs(config, path),
    ["llama.attention.layer_norm_rms_epsilon", "f32", config.rms_norm_eps],
  ];
  if (config instanceof MixtralConfig)
    pairs.push(
      ["llama.expert_count", "u32", config.num_local_experts],
      ["llama.expert_used_count", "u32", config.num_experts_per_tok],
    );
  if (head_dim * config.num_attention_heads !== config.hidden_size)
    pairs.push(["llama.attention.key_length", "u32", head_dim], ["llama.attention.value_length", "u32", head_dim]);
  if (config.sliding_window) pairs.push(["llama.attention.sliding_window", "u32", config.sliding_window]);
  pairs.push(["llama.vocab_size", "u32", config.vocab_size], ["llama.rope.dimension_count", "u32", head_dim]);
  return pairs;
}

function ropePairs({ rope_parameters: rope }: PreTrainedConfig, path: string): GGUFPair[] {
  const { rope_type, rope_theta } = rope;
  const pairs: GGUFPair[] = [["llama.rope.freq_base", "f32", rope_theta]];
  if (rope_type === "default") return pairs;
  if (rope_type !== "linear" && rope_type !== "yarn")
    throw new InputError(
      `${path}: rope_parameters.rope_type: expected "default", "linear" or "yarn", which GGUF has keys for, found ${show(rope_type)}`,
    );
  pairs.push(["llama.rope.scaling.type", "string", rope_type], ["llama.rope.scaling.factor", "f32", rope.factor!]);
  const original = rope.original_max_position_embeddings;
  if (rope_type === "yarn" && original !== undefined)
    pairs.push(["llama.rope.scaling.original_context_length", "u32", original]);
  return pairs;
}
