// Mistral's own layout, as mistral-inference reads it: params.json beside consolidated.safetensors, in one file or several.
// Rows of q and k stand there as in GGUF, for rotating neighbours.
import { MistralConfig } from "../config/mistral_config.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { show } from "../config/show.ts";
import { ConfigError } from "../errors.ts";

export const paramsName = "params.json";
/** The files of the weights: one, or parts. */
export const consolidatedParts = (names: readonly string[]): string[] =>
  names.filter((name) => /^consolidated[.-]?[\w.-]*\.safetensors$/.test(name)).sort();

/** The positions that Mixtral 8x7B and Mistral 7B were trained for: params.json seldom says. */
const POSITIONS = 32_768;

/** Names of params.json for those of a config. */
const names = {
  hidden_size: "dim",
  num_hidden_layers: "n_layers",
  head_dim: "head_dim",
  intermediate_size: "hidden_dim",
  num_attention_heads: "n_heads",
  num_key_value_heads: "n_kv_heads",
  rms_norm_eps: "norm_eps",
  vocab_size: "vocab_size",
  sliding_window: "sliding_window",
  rope_theta: "rope_theta",
  max_position_embeddings: "max_seq_len",
  num_local_experts: "moe.num_experts",
  num_experts_per_tok: "moe.num_experts_per_tok",
} as const;

/** What changes the model, and this version does not compute. */
const unknown = ["lora", "quantization", "yarn", "llama_4_scaling", "vision_encoder", "multimodal", "vision_lm"];

/**
 * @param params - the parsed contents of params.json; fields that it does not know are ignored, as by mistral-inference
 * @param tied - whether the checkpoint has no output matrix of its own
 * @param where - the file's path, for messages
 * @throws {@link ConfigError} naming the field by params.json's name
 */
export function mistralConfig(
  params: Readonly<Record<string, unknown>>,
  tied: boolean,
  where: string,
): PreTrainedConfig {
  const fail = (name: string, expected: string, found: unknown) =>
    new ConfigError(`${name}: expected ${expected}, found ${show(found)} in ${where}`);
  for (const name of unknown)
    if (params[name] !== undefined && params[name] !== null)
      throw new ConfigError(`${name}: this version does not compute it; expected none in ${where}`);
  const { moe = null } = params;
  if (moe !== null && (typeof moe !== "object" || Array.isArray(moe))) throw fail("moe", "an object", moe);
  const experts = moe as Record<string, unknown> | null;
  if (params.sliding_window != null && params._sliding_window != null)
    throw fail("_sliding_window", "none beside sliding_window", params._sliding_window);
  const sliding_window = params.sliding_window ?? params._sliding_window ?? null;
  if (Array.isArray(sliding_window))
    throw fail("sliding_window", "one window for all layers (several are not supported)", sliding_window);
  const values: Record<string, unknown> = {};
  for (const [field, name] of Object.entries(names)) {
    const value = name.startsWith("moe.") ? experts?.[name.slice(4)] : params[name];
    if (value !== undefined && value !== null) values[field] = value;
    else if (!optional.has(field) && (experts || !name.startsWith("moe.")))
      throw new ConfigError(`${name}: missing in ${where}`);
  }
  values.sliding_window = sliding_window;
  // mistral-inference's default; the models with a window that leave it out are of before.
  values.rope_theta ??= sliding_window === null ? 1e6 : 1e4;
  values.max_position_embeddings ??= POSITIONS;
  values.tie_word_embeddings = tied;
  const Config = experts ? MixtralConfig : MistralConfig;
  return new Config({ ...values, architectures: [`${experts ? "Mixtral" : "Mistral"}ForCausalLM`] }, { where, names });
}

const optional = new Set(["head_dim", "sliding_window", "rope_theta", "max_position_embeddings"]);
