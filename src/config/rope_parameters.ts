// rope_parameters of a config, brought into the one form of transformers 5 from both generations of config.json:
// {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 4}} and {"rope_parameters": {"rope_type": …}}.
import type { ConfigError } from "../errors.ts";
import { dictionary, positive, text } from "./rules.ts";
import { show } from "./show.ts";

/** How rotary angles are made: angle = position · theta^(−2i/D), divided by `factor` for type `linear`. */
export interface RopeParameters {
  rope_theta: number;
  /**
   * `linear` stretches positions by `factor`. `dynamic` is `default` up to max_position_embeddings positions, and past
   * them raises theta, which this engine does not do: it is for the model to refuse longer inputs.
   */
  rope_type: "default" | "linear" | "dynamic";
  /** Present for `linear` and `dynamic`. */
  factor?: number;
  /** Further keys are kept and have no effect. */
  [key: string]: unknown;
}

const supported = ["default", "linear", "dynamic"];

/**
 * @param config - a config's keys in either form
 * @param fail - throws the error for a field: (field, expected, found)
 * Source: transformers 5, where `rope_scaling` replaces `rope_parameters` if both exist.
 */
export function normalizeRope(
  config: Readonly<Record<string, unknown>>,
  fail: (field: string, expected: string, found: unknown) => ConfigError,
): RopeParameters {
  const field = config.rope_scaling != null ? "rope_scaling" : "rope_parameters";
  const given = (config[field] ?? {}) as Record<string, unknown>;
  if (!dictionary.allows(given)) throw fail(field, `${dictionary.expected}, or null`, given);
  const { type, ...rest } = given;
  const rope_type = rest.rope_type ?? type ?? "default";
  if (!text.allows(rope_type)) throw fail(`${field}.rope_type`, text.expected, rope_type);
  if (!supported.includes(rope_type as string))
    throw fail(`${field}.rope_type`, `one that this version computes (${supported.join(", ")})`, rope_type);
  const rope_theta = rest.rope_theta ?? config.rope_theta ?? 1e6;
  if (!positive.allows(rope_theta))
    throw fail(rest.rope_theta == null ? "rope_theta" : `${field}.rope_theta`, positive.expected, rope_theta);
  const normal: RopeParameters = {
    ...rest,
    rope_theta: rope_theta as number,
    rope_type: rope_type as RopeParameters["rope_type"],
  };
  if (rope_type !== "default" && !(positive.allows(normal.factor) && normal.factor! >= 1))
    throw fail(`${field}.factor`, `a number of at least 1 for rope_type ${show(rope_type)}`, normal.factor);
  return normal;
}
