// adapter_config.json, as PEFT writes it: ranks and scales. What an adapter changes is told by its tensors; here stands what
// they mean, and what this version would have to know to compute them.
import { dictionary, either, flag, integer, listOf, number, oneOf, orNull, type Rule } from "../config/rules.ts";
import { show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";

/** Ranks beyond this have no use: products with them cost more than the weights that they stand for. */
export const MOST_RANK = 4096;

export interface AdapterConfig {
  /** The rank of a module. @param name - as PEFT knows it */
  rank(name: string): number;
  /** What products of A and B are multiplied by: alpha / r, or alpha / √r. */
  scale(name: string, rank: number): number;
  /** The layers that have it; null: all. */
  readonly layers: readonly number[] | null;
  /** Whether what is done to the embedding is done to a head that is tied to it, too. */
  readonly ensure_weight_tying: boolean;
  /** What it was trained on, as it says. */
  readonly base: string | null;
}

/** Fields that mean another computation where they are set, and what they are. */
const refused: Readonly<Record<string, string>> = {
  use_dora: "DoRA, which scales each row of the merged weights,",
  lora_bias: "a bias beside B",
  trainable_token_indices: "trained embeddings of single tokens",
  use_qalora: "QALoRA, which pools the inputs,",
  use_bdlora: "block-diagonal matrices",
  alora_invocation_tokens: "an adapter that some tokens switch on (aLoRA)",
  layer_replication: "layers that stand several times",
  arrow_config: "a router of adapters (Arrow)",
  kasa_config: "KaSA",
  velora_config: "VeLoRA",
  monteclora_config: "MonteCLoRA",
};

/** How A and B were begun with, where that left the base's weights as they were. */
const harmlessInits: readonly unknown[] = [undefined, null, true, false, "gaussian", "eva", "orthogonal"];

const rules: Readonly<Record<string, Rule>> = {
  r: integer(1, MOST_RANK),
  lora_alpha: number(-1e6, 1e6),
  rank_pattern: orNull(dictionary),
  alpha_pattern: orNull(dictionary),
  use_rslora: orNull(flag),
  ensure_weight_tying: orNull(flag),
  layers_to_transform: orNull(either(integer(0, 1e6), listOf(integer(0, 1e6)))),
};

/** @throws {@link CheckpointError} naming the field that is wrong, or that this version cannot do */
export function readAdapterConfig(given: Readonly<Record<string, unknown>>, where: string): AdapterConfig {
  const fail = (name: string, expected: string, found: unknown) =>
    new CheckpointError(`${name}: expected ${expected}, found ${show(found)} in ${where}`);
  if (!oneOf("LORA").allows(given.peft_type))
    throw fail("peft_type", `"LORA", the one kind of adapter that this version knows`, given.peft_type);
  for (const [name, what] of Object.entries(refused)) {
    const value = given[name];
    if (value !== undefined && value !== null && value !== false)
      throw new CheckpointError(`${name}: ${what} is not known to this version: found ${show(value)} in ${where}`);
  }
  if (!harmlessInits.includes(given.init_lora_weights))
    throw new CheckpointError(
      `init_lora_weights: ${show(given.init_lora_weights)} changes the base's weights before training, so that the adapter suits those alone: convert it to an ordinary one with PEFT (path_initial_model_for_weight_conversion); found in ${where}`,
    );
  const values: Record<string, unknown> = { lora_alpha: 8, r: 8, ...given };
  for (const [name, rule] of Object.entries(rules))
    if (values[name] !== undefined && !rule.allows(values[name])) throw fail(name, rule.expected, values[name]);
  const [r, alpha] = [values.r as number, values.lora_alpha as number];
  const ranks = patternsOf(given.rank_pattern, "rank_pattern", rules.r, where);
  const alphas = patternsOf(given.alpha_pattern, "alpha_pattern", rules.lora_alpha, where);
  const { layers_to_transform: layers, base_model_name_or_path: base } = given;
  return {
    rank: (name) => ranks(name) ?? r,
    scale(name, rank) {
      const own = alphas(name) ?? alpha;
      return given.use_rslora ? own / Math.sqrt(rank) : own / rank;
    },
    layers: layers == null ? null : ([layers].flat() as number[]),
    ensure_weight_tying: given.ensure_weight_tying === true,
    base: typeof base === "string" ? base : null,
  };
}

/** Patterns of a table at most. */
const MOST_PATTERNS = 4096;
const LONGEST_PATTERN = 256;

/** What repeats, in a pattern without the characters that a backslash or brackets make ordinary. */
const repeats = /[*+?{]/g;

/**
 * A table by name: the first key that, as a regular expression, matches a name's end counts. Regular expressions can take
 * forever, and these are a file's: those with two repetitions at most, and of no groups, take next to nothing.
 */
function patternsOf(given: unknown, field: string, rule: Rule, where: string): (name: string) => number | undefined {
  const fail = (what: string) => new CheckpointError(`${field}: ${what} in ${where}`);
  const entries = Object.entries((given ?? {}) as Record<string, unknown>);
  if (entries.length > MOST_PATTERNS) throw fail(`expected at most ${MOST_PATTERNS} keys, found ${entries.length}`);
  const patterns = entries.map(([key, value]) => {
    if (!rule.allows(value)) throw fail(`expected ${rule.expected} for ${showName(key)}, found ${show(value)}`);
    const bare = key.replace(/\\\D|\[[^\]]*\]/g, "x");
    if (key.length > LONGEST_PATTERN || /\\\d|\(\?|\)[*+?{]/.test(bare) || (bare.match(repeats)?.length ?? 0) > 2)
      throw fail(
        `expected names, or patterns of up to ${LONGEST_PATTERN} characters with at most two repetitions, found ${show(key)}`,
      );
    try {
      return [new RegExp(`^(.*\\.)?(${key})$`), value as number] as const;
    } catch (cause) {
      throw new CheckpointError(`${field}: expected a regular expression, found ${show(key)} in ${where}`, { cause });
    }
  });
  return (name) => patterns.find(([pattern]) => pattern.test(name))?.[1];
}
