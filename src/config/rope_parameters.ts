// rope_parameters of a config, brought into the one form of transformers 5 from both generations of config.json:
// {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 4}} and {"rope_parameters": {"rope_type": …}}.
import type { ConfigError } from "../errors.ts";
import { dictionary, flag, integer, listOf, number, positive, type Rule, text } from "./rules.ts";
import { show } from "./show.ts";

/** How positions beyond those of the training are rotated. */
export type RopeType = "default" | "linear" | "dynamic" | "yarn" | "llama3" | "longrope";

/** How rotary angles are made: angle = position · theta^(−2i/D), changed as `rope_type` says. */
export interface RopeParameters {
  rope_theta: number;
  /** What each does stands in model/rotary.ts. */
  rope_type: RopeType;
  factor?: number;
  /** Positions that the model was trained with, where that is not max_position_embeddings. */
  original_max_position_embeddings?: number;
  // yarn, longrope: what cosines and sines are multiplied by; computed where absent
  attention_factor?: number | null;
  // yarn
  beta_fast?: number | null;
  beta_slow?: number | null;
  mscale?: number | null;
  mscale_all_dim?: number | null;
  truncate?: boolean | null;
  // llama3
  low_freq_factor?: number;
  high_freq_factor?: number;
  // longrope, a divisor for each pair of dimensions
  short_factor?: number[];
  long_factor?: number[];
  /** Further keys are kept and have no effect. */
  [key: string]: unknown;
}

const stretch: Rule = { expected: "a number of at least 1", allows: (v) => positive.allows(v) && (v as number) >= 1 };
const optional = (rule: Rule): Rule => ({ expected: rule.expected, allows: (v) => v == null || rule.allows(v) });
const positions = integer(1, 2 ** 31 - 1);
const divisors = listOf(positive);

/** The keys that a type reads, with what they may be. */
const keys: Readonly<Record<RopeType, Readonly<Record<string, Rule>>>> = {
  default: {},
  linear: { factor: stretch },
  dynamic: { factor: stretch },
  yarn: {
    factor: stretch,
    original_max_position_embeddings: optional(positions),
    attention_factor: optional(positive),
    beta_fast: optional(positive),
    beta_slow: optional(positive),
    mscale: optional(number(0, Infinity)),
    mscale_all_dim: optional(number(0, Infinity)),
    truncate: optional(flag),
  },
  llama3: {
    factor: stretch,
    original_max_position_embeddings: positions,
    low_freq_factor: positive,
    high_freq_factor: positive,
  },
  longrope: {
    factor: optional(stretch),
    original_max_position_embeddings: optional(positions),
    attention_factor: optional(positive),
    short_factor: divisors,
    long_factor: divisors,
  },
};

/**
 * @param config - a config's keys in either form
 * @param theta - where it names none
 * @param fail - throws the error for a field: (field, expected, found)
 * Source: transformers 5, where `rope_scaling` replaces `rope_parameters` if both exist.
 */
export function normalizeRope(
  config: Readonly<Record<string, unknown>>,
  theta: number,
  fail: (field: string, expected: string, found: unknown) => ConfigError,
): RopeParameters {
  const field = config.rope_scaling != null ? "rope_scaling" : "rope_parameters";
  const given = (config[field] ?? {}) as Record<string, unknown>;
  if (!dictionary.allows(given)) throw fail(field, `${dictionary.expected}, or null`, given);
  const { type, ...rest } = given;
  const rope_type = rest.rope_type ?? type ?? "default";
  if (!text.allows(rope_type)) throw fail(`${field}.rope_type`, text.expected, rope_type);
  if (!Object.hasOwn(keys, rope_type as string))
    throw fail(`${field}.rope_type`, `one that this version computes (${Object.keys(keys).join(", ")})`, rope_type);
  const rope_theta = rest.rope_theta ?? config.rope_theta ?? theta;
  if (!positive.allows(rope_theta))
    throw fail(rest.rope_theta == null ? "rope_theta" : `${field}.rope_theta`, positive.expected, rope_theta);
  const normal: RopeParameters = {
    ...rest,
    rope_theta: rope_theta as number,
    rope_type: rope_type as RopeType,
  };
  for (const [name, { allows, expected }] of Object.entries(keys[normal.rope_type]))
    if (!allows(normal[name]))
      throw fail(`${field}.${name}`, `${expected} for rope_type ${show(rope_type)}`, normal[name]);
  if (normal.rope_type === "llama3" && normal.low_freq_factor! >= normal.high_freq_factor!)
    throw fail(
      `${field}.high_freq_factor`,
      `more than low_freq_factor ${normal.low_freq_factor}`,
      normal.high_freq_factor,
    );
  return normal;
}
