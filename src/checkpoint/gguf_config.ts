// What a GGUF file's metadata says about the model, as the config and generation config that Hugging Face would have.
// Source: llama.cpp's names for architecture `llama`, which is what a Mixtral is there, and a Mistral.
import { MistralConfig } from "../config/mistral_config.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type GGUFSpecialTokens, ggufSpecialTokens } from "./gguf_special_tokens.ts";
import type { GGUFValue } from "./gguf_types.ts";

type Metadata = ReadonlyMap<string, GGUFValue>;

/** Where each field of the config stands. Those without `?` must be there, as llama.cpp demands. */
const keys: Readonly<Record<string, string>> = {
  hidden_size: "llama.embedding_length",
  intermediate_size: "llama.feed_forward_length",
  num_hidden_layers: "llama.block_count",
  num_attention_heads: "llama.attention.head_count",
  rms_norm_eps: "llama.attention.layer_norm_rms_epsilon",
  max_position_embeddings: "llama.context_length",
};

/** Those of a mixture of experts. */
const expertKeys: Readonly<Record<string, string>> = {
  num_local_experts: "llama.expert_count",
  num_experts_per_tok: "llama.expert_used_count",
};

const optionalKeys: Readonly<Record<string, string>> = {
  num_key_value_heads: "llama.attention.head_count_kv",
  head_dim: "llama.attention.key_length",
  sliding_window: "llama.attention.sliding_window",
  rope_theta: "llama.rope.freq_base",
};

/**
 * The config that a GGUF file's metadata describes.
 * @param vocabulary - rows of the embedding, which count where the metadata has neither tokens nor vocab_size
 * @param tied - whether the file has no `output.weight`
 * @param divisors - of rotary frequencies, where tensors have them
 * @param where - the file's path, for messages
 * @throws {@link CheckpointError} when a key is missing or at odds with another; ConfigError when a value is out of range
 */
export function ggufConfig(
  metadata: Metadata,
  vocabulary: number | undefined,
  tied: boolean,
  divisors: RopeDivisors | undefined,
  where: string,
): PreTrainedConfig {
  const fail = (key: string, expected: string, found: unknown) =>
    new CheckpointError(`${key}: expected ${expected}, found ${show(found)} in ${where}`);
  const architecture = metadata.get("general.architecture");
  if (architecture !== "llama")
    throw fail("general.architecture", '"llama" (which Mixtral and Mistral are in GGUF)', architecture);
  const mixture = Object.values(expertKeys).some((key) => metadata.has(key) && metadata.get(key) !== 0);
  const needed = mixture ? { ...keys, ...expertKeys } : keys;
  for (const key of Object.values(needed))
    if (!metadata.has(key)) throw fail(key, `a value: a ${mixture ? "Mixtral" : "Mistral"} needs it`, undefined);
  const tokens = checkVocabulary(metadata, fail);
  const values: Record<string, unknown> = { tie_word_embeddings: tied, num_key_value_heads: null };
  for (const [field, key] of Object.entries({ ...needed, ...optionalKeys }))
    if (metadata.has(key)) values[field] = metadata.get(key);
  // As in llama.cpp: what the key says of a vocabulary that is there does not count.
  values.vocab_size = tokens ?? metadata.get("llama.vocab_size") ?? vocabulary;
  Object.assign(values, idsOf(ggufSpecialTokens(metadata, where)));
  // llama.cpp's default, not Hugging Face's 1e6; and its 0 for "no window".
  values.rope_theta ??= 10000;
  values.sliding_window ||= null;
  const { rope_theta, ...fields } = values;
  const rope_parameters = { rope_theta, ...(divisors ? dividedRope(metadata, divisors, fail) : ropeScaling(metadata)) };
  const names = {
    ...needed,
    ...optionalKeys,
    vocab_size: tokens === undefined ? "llama.vocab_size" : "tokenizer.ggml.tokens",
    "rope_parameters.rope_theta": "llama.rope.freq_base",
  };
  const Config = mixture ? MixtralConfig : MistralConfig;
  const config = new Config({ ...fields, rope_parameters }, { where, names: { ...names, ...scalingNames } });
  // The whole head is turned, and keys and values have one length.
  for (const key of ["llama.rope.dimension_count", "llama.attention.value_length"]) {
    const length = metadata.get(key) ?? config.resolved_head_dim;
    if (length !== config.resolved_head_dim) throw fail(key, `the head size ${config.resolved_head_dim}`, length);
  }
  return config;
}

const idsOf = ({ bos, eos, pad }: GGUFSpecialTokens): Record<string, unknown> => ({
  bos_token_id: bos ?? null,
  eos_token_id: eos ?? null,
  pad_token_id: pad ?? null,
});

/** The special tokens, as generation_config.json would give them: every token that ends an answer is an end. */
export function ggufGenerationConfig(metadata: Metadata, where: string): Record<string, unknown> {
  const special = ggufSpecialTokens(metadata, where);
  const { ends } = special;
  const eos_token_id = ends.length > 1 ? [...ends] : (ends[0] ?? null);
  const set = Object.entries({ ...idsOf(special), eos_token_id });
  return Object.fromEntries(set.filter(([, id]) => id !== null));
}

/** Number of tokens in the file's vocabulary, if it has one; its parallel lists must be as long. */
function checkVocabulary(
  metadata: Metadata,
  fail: (key: string, expected: string, found: unknown) => Error,
): number | undefined {
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (tokens === undefined) return undefined;
  if (!Array.isArray(tokens) || (tokens.length > 0 && typeof tokens[0] !== "string"))
    throw fail("tokenizer.ggml.tokens", "an array of strings", tokens);
  for (const key of ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"]) {
    const list = metadata.get(key);
    if (list === undefined) continue;
    if (!ArrayBuffer.isView(list)) throw fail(key, "an array of numbers", list);
    if (list.length < tokens.length) throw fail(key, `${tokens.length} entries, one for each token`, list.length);
  }
  return tokens.length;
}

/** What llama.cpp keeps of rotary positions in tensors: divisors of each pair's frequency, one list or one for short texts and one for long. */
export interface RopeDivisors {
  readonly short: readonly number[];
  readonly long: readonly number[];
}

const scalingNames = {
  "rope_parameters.rope_type": "llama.rope.scaling.type",
  "rope_parameters.factor": "llama.rope.scaling.factor",
  "rope_parameters.original_max_position_embeddings": "llama.rope.scaling.original_context_length",
};

/** Divided frequencies are what longrope is; Llama 3's are one list, which holds for texts of any length. */
function dividedRope(
  metadata: Metadata,
  { short, long }: RopeDivisors,
  fail: (key: string, expected: string, found: unknown) => Error,
): Record<string, unknown> {
  const { type, factor } = scalingOf(metadata);
  if (type !== "none" && type !== "linear" && type !== "longrope")
    throw fail(
      "llama.rope.scaling.type",
      '"none", "linear" or "longrope" beside tensors that divide frequencies',
      type,
    );
  const scale = type === "none" ? 1 : (factor as number);
  const original = metadata.get("llama.rope.scaling.original_context_length");
  return {
    rope_type: "longrope",
    short_factor: short.map((divisor) => divisor * scale),
    long_factor: long.map((divisor) => divisor * scale),
    attention_factor: metadata.get("llama.rope.scaling.attn_factor") ?? 1,
    ...(original === undefined ? {} : { original_max_position_embeddings: original }),
  };
}

/** As llama.cpp has it: linear where no type is named (in files of before), and a factor of 0 or none is 1. */
function scalingOf(metadata: Metadata): { type: GGUFValue; factor: GGUFValue } {
  const given = metadata.get("llama.rope.scaling.factor") ?? metadata.get("llama.rope.scale_linear");
  const factor = given === undefined || given === 0 ? 1 : given;
  const type = metadata.get("llama.rope.scaling.type") ?? "linear";
  return { type: type === "linear" && factor === 1 ? "none" : type, factor };
}

function ropeScaling(metadata: Metadata): Record<string, unknown> {
  const { type: named, factor } = scalingOf(metadata);
  // Without divisors, all of longrope that is left to llama.cpp is its factor.
  const type = named !== "longrope" ? named : factor === 1 ? "none" : "linear";
  const original_max_position_embeddings = metadata.get("llama.rope.scaling.original_context_length");
  return {
    ...(type === "none" ? {} : { rope_type: type, factor }),
    ...(type === "none" || original_max_position_embeddings === undefined ? {} : { original_max_position_embeddings }),
  };
}
