// GenerationConfig: what generate() is asked to do, with Hugging Face's names and defaults. A config holds only what was
// set, so that several can be laid over each other: call options, a passed config, generation_config.json, defaults.
import { ConfigError } from "../errors.ts";
import { knownOptions } from "./option_names.ts";
import * as rule from "./rules.ts";
import { show } from "./show.ts";

/** Every setting with the value it has when nobody sets it. Null means off. */
export interface ResolvedGenerationConfig {
  // Length
  /**
   * Tokens of prompt and answer together, at most; `max_new_tokens` wins. Where neither is set, `generate` gives 20 new
   * tokens, and a pipeline 256.
   * @default 20
   */
  max_length: number;
  /** New tokens at most. @default none */
  max_new_tokens: number | null;
  /** Tokens of prompt and answer together, before which no answer ends. @default 0 */
  min_length: number;
  /** New tokens before which no answer ends; wins over `min_length`. @default none */
  min_new_tokens: number | null;
  /**
   * When a beam search ends: `true` as soon as there are `num_beams` answers, `false` when better ones are unlikely,
   * `"never"` when they are impossible.
   * @default false
   */
  early_stopping: boolean | "never";
  /** Seconds after which an answer ends. @default none */
  max_time: number | null;
  /** Texts that end an answer, which is told with them; needs `tokenizer`. @default none */
  stop_strings: string | string[] | null;
  // Strategy
  /** Whether tokens are drawn by chance; if not, the likeliest is taken. @default false */
  do_sample: boolean;
  /** Beams of a beam search; 1: there is none. @default 1 */
  num_beams: number;
  /** Whether the object that is asked for has `past_key_values`: `generate` itself always uses a cache. @default true */
  use_cache: boolean;
  /** Tokens of a prompt that are computed at once; none leaves it to the option `chunk_size` of the model. @default none */
  prefill_chunk_size: number | null;
  // Scores
  /** Divides the scores before sampling: below 1 the likely is likelier, above 1 less so. Needs `do_sample`. @default 1 */
  temperature: number;
  /**
   * Samples from the likeliest tokens that together have this share of the entropy, above 0 and up to 1. Needs `do_sample`.
   * @default none
   */
  top_h: number | null;
  /** Samples from so many likeliest tokens; 0: from all. Needs `do_sample`. @default 50 */
  top_k: number;
  /** Samples from the likeliest tokens that together have this probability. Needs `do_sample`. @default 1 */
  top_p: number;
  /** Samples from tokens that have at least this share of the likeliest one's probability. Needs `do_sample`. @default none */
  min_p: number | null;
  /** Samples from the tokens nearest to what is expected that together have this probability. Needs `do_sample`. @default 1 */
  typical_p: number;
  /** Samples from tokens of at least this probability; 0: from all. Needs `do_sample`. @default 0 */
  epsilon_cutoff: number;
  /** The same, with a probability that falls where all are uncertain; 0: from all. Needs `do_sample`. @default 0 */
  eta_cutoff: number;
  /** Above 1, what prompt and answer hold already is less likely. @default 1 */
  repetition_penalty: number;
  /** Above 1, what the prompt does not hold is less likely. @default 1 */
  encoder_repetition_penalty: number;
  /** Beams: above 0 longer answers are preferred, below 0 shorter ones. @default 1 */
  length_penalty: number;
  /** No run of so many tokens comes twice; 0: any may. @default 0 */
  no_repeat_ngram_size: number;
  /** No run of so many tokens of the prompt comes in the answer; 0: any may. @default 0 */
  encoder_no_repeat_ngram_size: number;
  /** Runs of tokens that never come. @default none */
  bad_words_ids: number[][] | null;
  /** Whether scores are log-probabilities again after all processors. @default false */
  renormalize_logits: boolean;
  /** The first new token, where the prompt has one token. @default none */
  forced_bos_token_id: number | null;
  /** The last token, where `max_length` ends the answer. @default none */
  forced_eos_token_id: number | number[] | null;
  /** Whether scores that are NaN or infinite are replaced. @default false */
  remove_invalid_values: boolean;
  /** `[start, factor]`: from so many new tokens on, an end is likelier by the factor with each. @default none */
  exponential_decay_length_penalty: [number, number] | null;
  /** Tokens that never come. @default none */
  suppress_tokens: number[] | null;
  /** Tokens that an answer never begins with. @default none */
  begin_suppress_tokens: number[] | null;
  /** `[[ids, bias], …]`: what is added to the score of a run's last token, where the others stand before. @default none */
  sequence_bias: [number[], number][] | null;
  /** How far scores are pushed away from those after another prompt, `negative_prompt_ids`; 1 is not at all. @default none */
  guidance_scale: number | null;
  // Assisted decoding
  /**
   * Tokens that are drafted at most, of those after an earlier occurrence of the last ones: the same answer, sooner.
   * @default none
   */
  prompt_lookup_num_tokens: number | null;
  /** Tokens that such an occurrence has at most: as many as transformers looks for. @default none */
  max_matching_ngram_size: number | null;
  /** Tokens that an assistant drafts at most. @default 20 */
  num_assistant_tokens: number;
  /** `"constant"`: always as many, if that pays or not; else as many as pay, which may be none. @default "heuristic" */
  num_assistant_tokens_schedule: "heuristic" | "heuristic_transient" | "constant";
  // Output
  /** Answers to each prompt. @default 1 */
  num_return_sequences: number;
  /** Refused: call the model for attentions. @default false */
  output_attentions: boolean;
  /** Refused: call the model for hidden states. @default false */
  output_hidden_states: boolean;
  /** Whether the object has each step's scores, after the processors. Needs `return_dict_in_generate`. @default false */
  output_scores: boolean;
  /** Whether it has each step's logits, as the model gave them. Needs `return_dict_in_generate`. @default false */
  output_logits: boolean;
  /** Whether the result is an object, not the tokens alone. @default false */
  return_dict_in_generate: boolean;
  // Special tokens
  /** What stands behind an answer that ended before others; the first end of sequence where absent. @default none */
  pad_token_id: number | null;
  /** What an empty prompt begins with; the model's where absent. @default none */
  bos_token_id: number | null;
  /** The token that ends an answer, or several; the model's where absent. @default none */
  eos_token_id: number | number[] | null;
}

/** Any of the settings; absent and null both mean "not set here". */
export type GenerationOptions = {
  [K in keyof ResolvedGenerationConfig]?: ResolvedGenerationConfig[K] | null | undefined;
};

const count = rule.integer(0, 2 ** 31 - 1);
const oneOrMore = rule.integer(1, 2 ** 31 - 1);
const share = rule.number(0, 1);
const shareAbove0: rule.Rule = {
  expected: "a number above 0 and up to 1",
  allows: (v) => share.allows(v) && v !== 0,
};
const below1: rule.Rule = { expected: "a number of 0 to 1, 1 excluded", allows: (v) => share.allows(v) && v !== 1 };
const ids = rule.listOf(rule.tokenId);
const idOrIds = rule.either(rule.tokenId, ids);
const anyNumber = rule.number(-Infinity, Infinity);
const nonEmptyIds: rule.Rule = {
  expected: "a non-empty list of token ids",
  allows: (v) => ids.allows(v) && (v as unknown[]).length > 0,
};
const pair = (first: rule.Rule, second: rule.Rule, expected: string): rule.Rule => ({
  expected,
  allows: (v) => Array.isArray(v) && v.length === 2 && first.allows(v[0]) && second.allows(v[1]),
});

const fields: { readonly [K in keyof ResolvedGenerationConfig]: readonly [rule.Rule, ResolvedGenerationConfig[K]] } = {
  max_length: [oneOrMore, 20],
  max_new_tokens: [oneOrMore, null],
  min_length: [count, 0],
  min_new_tokens: [count, null],
  early_stopping: [rule.either(rule.flag, rule.oneOf("never")), false],
  max_time: [rule.number(0, Infinity), null],
  stop_strings: [rule.either(rule.text, rule.listOf(rule.text)), null],
  do_sample: [rule.flag, false],
  num_beams: [rule.integer(1, 65536), 1],
  use_cache: [rule.flag, true],
  prefill_chunk_size: [oneOrMore, null],
  temperature: [rule.number(0, Infinity), 1],
  top_h: [shareAbove0, null],
  top_k: [count, 50],
  top_p: [share, 1],
  min_p: [share, null],
  typical_p: [share, 1],
  epsilon_cutoff: [below1, 0],
  eta_cutoff: [below1, 0],
  repetition_penalty: [rule.positive, 1],
  encoder_repetition_penalty: [rule.positive, 1],
  length_penalty: [anyNumber, 1],
  no_repeat_ngram_size: [count, 0],
  encoder_no_repeat_ngram_size: [count, 0],
  bad_words_ids: [rule.listOf(nonEmptyIds), null],
  renormalize_logits: [rule.flag, false],
  forced_bos_token_id: [rule.tokenId, null],
  forced_eos_token_id: [idOrIds, null],
  remove_invalid_values: [rule.flag, false],
  exponential_decay_length_penalty: [pair(count, rule.positive, "[start, factor], factor above 0"), null],
  suppress_tokens: [ids, null],
  begin_suppress_tokens: [ids, null],
  sequence_bias: [rule.listOf(pair(nonEmptyIds, anyNumber, "[token ids, bias]")), null],
  guidance_scale: [anyNumber, null],
  prompt_lookup_num_tokens: [oneOrMore, null],
  max_matching_ngram_size: [oneOrMore, null],
  num_assistant_tokens: [oneOrMore, 20],
  num_assistant_tokens_schedule: [rule.oneOf("heuristic", "heuristic_transient", "constant"), "heuristic"],
  num_return_sequences: [rule.integer(1, 65536), 1],
  output_attentions: [rule.flag, false],
  output_hidden_states: [rule.flag, false],
  output_scores: [rule.flag, false],
  output_logits: [rule.flag, false],
  return_dict_in_generate: [rule.flag, false],
  pad_token_id: [rule.tokenId, null],
  bos_token_id: [rule.tokenId, null],
  eos_token_id: [idOrIds, null],
};

/** Fields that a model's config.json has too; all others of this class are dropped from it. */
const shared = [
  "use_cache",
  "output_attentions",
  "output_hidden_states",
  "pad_token_id",
  "bos_token_id",
  "eos_token_id",
];

/** The names that belong to generation alone. */
export const generationFields: ReadonlySet<string> = new Set(Object.keys(fields).filter((f) => !shared.includes(f)));

/** The names of all settings. */
export const settingNames: readonly string[] = Object.keys(fields);

/** What is set of the generation settings. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the fields are assigned from the one table above
export class GenerationConfig {
  // Hidden, not `private`: the properties are the settings, whatever their names.
  readonly #unknown: Record<string, unknown> = Object.create(null);

  /**
   * @throws {@link ConfigError} when a setting has a wrong type or is out of range; {@link InputError} when there is none of
   *   that name
   */
  constructor(options: GenerationOptions = {}) {
    this.#set(options, "");
    knownOptions(this.#unknown, "GenerationConfig", settingNames);
  }

  #set(options: object, where: string): void {
    if (!rule.dictionary.allows(options)) throw fault("generation config", "an object of settings", options, where);
    for (const [name, value] of Object.entries(options)) {
      if (value === null || value === undefined) continue;
      if (!Object.hasOwn(fields, name)) {
        this.#unknown[name] = value;
        continue;
      }
      const [{ allows, expected }] = fields[name as keyof GenerationOptions];
      if (!allows(value)) throw fault(name, expected, value, where);
      Object.assign(this, { [name]: value });
    }
  }

  /**
   * From the parsed contents of a generation_config.json. Settings that there are not are kept, and have no effect.
   * @param where - the file's path, for messages
   * @throws {@link ConfigError} when a setting has a wrong type or is out of range
   */
  static from_dict(values: Readonly<Record<string, unknown>>, where = ""): GenerationConfig {
    const config = new GenerationConfig();
    config.#set(values, where);
    return config;
  }

  /**
   * Lays settings over each other, the first over the second and so on, and all over the defaults.
   * @example GenerationConfig.resolve({ top_k: 1 }, model.generation_config).max_length // 20 unless the model says so
   * @throws {@link ConfigError} when a setting is wrong, or two do not go together
   */
  static resolve(...layers: (GenerationOptions | undefined)[]): ResolvedGenerationConfig {
    const resolved = Object.fromEntries(Object.entries(fields).map(([name, [, initial]]) => [name, initial]));
    for (const layer of layers.toReversed())
      Object.assign(resolved, (layer ? new GenerationConfig(layer) : {}) as object);
    const config = resolved as unknown as ResolvedGenerationConfig;
    checkTogether(config);
    return config;
  }

  to_dict(): Record<string, unknown> {
    return { ...this.#unknown, ...this };
  }

  toJSON(): Record<string, unknown> {
    return this.to_dict();
  }
}
export interface GenerationConfig extends GenerationOptions {}

const fault = (name: string, expected: string, found: unknown, where?: string) =>
  new ConfigError(`${name}: expected ${expected}, found ${show(found)}${where ? ` in ${where}` : ""}`);

function checkTogether(c: ResolvedGenerationConfig): void {
  if (c.do_sample && c.temperature === 0)
    throw fault("temperature", "a number above 0 with do_sample (greedy search is do_sample: false)", 0);
  if (c.do_sample && c.typical_p === 0) throw fault("typical_p", "a number above 0", 0);
  if (c.num_return_sequences > 1 && c.num_beams === 1 && !c.do_sample)
    throw fault("num_return_sequences", "1 for greedy search, which has one result", c.num_return_sequences);
  if (c.num_beams > 1 && c.num_return_sequences > c.num_beams)
    throw fault("num_return_sequences", `at most num_beams ${c.num_beams}`, c.num_return_sequences);
}
