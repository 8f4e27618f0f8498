// What `generate` is given: checked, its settings resolved, its prompt turned into rows without padding.
import { callArguments } from "../arguments.ts";
import {
  GenerationConfig,
  type GenerationOptions,
  type ResolvedGenerationConfig,
  settingNames,
} from "../config/generation_config.ts";
import { knownOptions, namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import { type CheckedInputs, checkInputs, type InputRow } from "../model/inputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { type Tensor, type TokenIds, toRows } from "../tensor.ts";
import type { CausalLM } from "./causal_lm.ts";
import type { ExpertChoices } from "./expert_choices.ts";
import type { LogitsProcessors, PrefixFunction } from "./processors.ts";
import type { PromptProgress } from "./prompt_progress.ts";
import type { CustomStoppingCriteria } from "./stopping.ts";
import type { BaseStreamer } from "./streamers.ts";

/** What `generate` takes beside the fields of GenerationConfig. */
export interface GenerateInputs extends GenerationOptions {
  /** The prompt: a row of tokens, or a batch of rows. @default the model's `bos_token_id` */
  input_ids?: TokenIds | undefined;
  /**
   * (rows, length), 0 where a position is padding.
   * @default 1, but where a pad token that ends no sequence stands in the prompt
   */
  attention_mask?: TokenIds | undefined;
  /** float32 (rows, length, hidden), instead of `input_ids`; the result holds the new tokens alone then. */
  inputs_embeds?: Tensor | undefined;
  /** Settings that those of the call are laid over. @default the model's own */
  generation_config?: GenerationOptions | undefined;
  /** Seeds the sampling: the same seed gives the same tokens in every runtime. @default another one each time */
  seed?: number | bigint | null | undefined;
  /** Is told the prompt, then each token as it comes. */
  streamer?: BaseStreamer | null | undefined;
  /** Criteria or functions that say when an answer is finished. */
  stopping_criteria?: CustomStoppingCriteria | readonly CustomStoppingCriteria[] | null | undefined;
  /** Processors or functions that change the scores of the next token, after those of the settings. */
  logits_processor?: LogitsProcessors | null | undefined;
  /** Says which tokens may come next. */
  prefix_allowed_tokens_fn?: PrefixFunction | null | undefined;
  /** The model's tokenizer, which `stop_strings` need, and `stream` to give text. */
  tokenizer?: unknown;
  /** Holds the first tokens of the prompt already; it is extended in place. @default a cache of its own */
  past_key_values?: KeyValueCache | undefined;
  /** What all rows have: the name of an adapter, of several, which add up, or null for none. @default the active ones */
  adapter?: string | readonly string[] | null | undefined;
  /** What each prompt has, as `adapter` takes it; `"__base__"` is none, too. @default as `adapter` */
  adapter_names?: readonly (string | readonly string[] | null)[] | null | undefined;
  /** Aborts it: `generate` rejects with its reason, on which `partial` is what was generated. */
  signal?: AbortSignal | undefined;
  /** Told how much of the prompt is read, until the first token is there. @default nobody is told */
  progress_callback?: ((progress: PromptProgress) => void) | null | undefined;
  /**
   * Told of each new token, once it is fed, which experts each layer chose: so of the last of an answer it is not. Where it
   * returns promises, the generation ends when they are settled.
   * @default nobody is told
   */
  experts_callback?: ((choices: ExpertChoices) => unknown) | null | undefined;
  /** Taken from a token's score for each time the answer holds it already, as in OpenAI's API. @default 0 */
  frequency_penalty?: number | null | undefined;
  /** Taken from a token's score once the answer holds it. @default 0 */
  presence_penalty?: number | null | undefined;
  /** With `guidance_scale`, what the answers are to be kept away from. @default the last token of each prompt */
  negative_prompt_ids?: TokenIds | null | undefined;
  /** (rows, length) of `negative_prompt_ids`. @default 1 */
  negative_prompt_attention_mask?: TokenIds | null | undefined;
  /**
   * How many of the likeliest tokens of each step are told, with their log-probabilities: `logprobs` of the result. Needs
   * `return_dict_in_generate`.
   * @default none is told
   */
  top_logprobs?: number | null | undefined;
  /** A model with the same tokens that drafts them; the answer is the same, and sooner there where it drafts well. */
  assistant_model?: CausalLM | null | undefined;
}

/** The options of a call that are no settings of GenerationConfig. */
export const ownOptions = namesOf<Omit<GenerateInputs, keyof GenerationOptions>>({
  input_ids: true,
  attention_mask: true,
  inputs_embeds: true,
  generation_config: true,
  seed: true,
  streamer: true,
  stopping_criteria: true,
  logits_processor: true,
  prefix_allowed_tokens_fn: true,
  tokenizer: true,
  past_key_values: true,
  adapter: true,
  adapter_names: true,
  signal: true,
  progress_callback: true,
  experts_callback: true,
  frequency_penalty: true,
  presence_penalty: true,
  negative_prompt_ids: true,
  negative_prompt_attention_mask: true,
  top_logprobs: true,
  assistant_model: true,
});

/**
 * What a call of `generate` is given: one object of arguments that are known.
 * @param what - what is called
 * @throws {@link InputError} for anything else
 */
export const generateArguments = (given: GenerateInputs, what: string): GenerateInputs =>
  knownOptions(callArguments(given, what), what, [...settingNames, ...ownOptions]);

/** Options of the call over a passed config over the model's own over the defaults. */
export function resolveConfig(model: PreTrainedModel, inputs: GenerateInputs): ResolvedGenerationConfig {
  const settings = Object.entries(inputs).filter(([name]) => !ownOptions.includes(name));
  const call = new GenerationConfig(Object.fromEntries(settings));
  const { bos_token_id, eos_token_id, pad_token_id } = model.config;
  const config = GenerationConfig.resolve(call, inputs.generation_config, model.generation_config, {
    bos_token_id,
    eos_token_id,
    pad_token_id,
  });
  const { top_logprobs } = inputs;
  const { vocab } = model.engine.shape;
  if (top_logprobs != null && !(Number.isInteger(top_logprobs) && top_logprobs >= 0 && top_logprobs <= vocab))
    throw new InputError(`top_logprobs: expected an integer from 0 to ${vocab}, found ${show(top_logprobs)}`);
  if (config.output_attentions)
    throw new InputError("output_attentions: generate does not collect attention maps; call the model");
  if (config.output_hidden_states)
    throw new InputError("output_hidden_states: generate does not collect hidden states; call the model");
  return config;
}

/** New tokens where neither length nor maximum is given, as in transformers. */
const DEFAULT_NEW_TOKENS = 20;

/**
 * Prompt and new tokens together, at most.
 * @param hidden - prompt positions without ids (embeddings)
 * @throws {@link InputError} when the context does not hold what was asked for
 */
export function resolveLength(
  model: PreTrainedModel,
  inputs: GenerateInputs,
  config: ResolvedGenerationConfig,
  prompt_length: number,
  hidden: number,
): number {
  const limits_length = [inputs, inputs.generation_config, model.generation_config].some(
    (settings) => (settings?.max_length ?? null) !== null,
  );
  const limit = model.context - hidden;
  if (hidden > 0 && limit <= 0) throw tooLong(model, hidden);
  let length: number;
  if (config.max_new_tokens !== null) length = prompt_length + config.max_new_tokens;
  else if (limits_length) {
    length = config.max_length - hidden;
    if (prompt_length >= length)
      throw new InputError(
        `max_length: expected more than the prompt's ${prompt_length + hidden} tokens, found ${config.max_length}`,
      );
  } else {
    length = prompt_length + DEFAULT_NEW_TOKENS;
    // transformers stops there, window or not, and fails beyond; a window allows any length.
    const most = model.config.max_position_embeddings - hidden;
    if (most > prompt_length) length = Math.min(length, most);
  }
  if (length > limit && config.max_new_tokens !== null)
    throw new InputError(
      `max_new_tokens: ${prompt_length + hidden} prompt tokens and ${config.max_new_tokens} new ones, the context holds ${model.context}`,
    );
  return Math.min(length, limit);
}

const tooLong = ({ context }: PreTrainedModel, tokens: number): InputError =>
  new InputError(`input_ids: a prompt of ${tokens} tokens, the context holds ${context}`);

export interface Prompt {
  /** Absent where embeddings are given. */
  readonly ids?: Int32Array[];
  /** 0 where a position of `ids` is padding; absent where none is. */
  readonly mask?: Int32Array[];
  /** What of it has yet to be fed, positions counted without padding. */
  readonly checked: CheckedInputs;
  /** Left padding of each row. */
  readonly padding: number[];
}

export function promptOf(
  model: PreTrainedModel,
  inputs: GenerateInputs,
  config: ResolvedGenerationConfig,
  eos: readonly number[],
): Prompt {
  const { shape } = model.engine;
  if (inputs.inputs_embeds !== undefined) {
    const { input_ids, inputs_embeds, attention_mask, past_key_values } = inputs;
    const checked = checkInputs({ input_ids, inputs_embeds, attention_mask, past_key_values }, shape);
    return { checked: countTokens(checked, past_key_values), padding: checked.rows.map(() => 0) };
  }
  let ids = inputs.input_ids === undefined ? [] : toRows(inputs.input_ids);
  if (ids.length === 0 || ids[0].length === 0) {
    if (config.bos_token_id === null)
      throw new InputError("input_ids: expected a prompt, as the model has no bos_token_id to begin with");
    ids = [Int32Array.of(config.bos_token_id)];
  }
  if (ids[0].length > model.context) throw tooLong(model, ids[0].length);
  const past = inputs.past_key_values;
  const seen = past?.get_seq_length() ?? 0;
  const length = ids[0].length;
  if (seen >= length)
    throw new InputError(
      `input_ids: expected more than the ${seen} tokens that past_key_values holds, found ${length}`,
    );
  const { pad_token_id } = config;
  const mask =
    inputs.attention_mask !== undefined
      ? toRows(inputs.attention_mask, "attention_mask")
      : pad_token_id !== null && !eos.includes(pad_token_id) && ids.some((row) => row.includes(pad_token_id))
        ? ids.map((row) => row.map((id) => (id === pad_token_id ? 0 : 1)))
        : undefined;
  const rest = ids.map((row) => row.subarray(seen));
  const checked = checkInputs({ input_ids: rest, attention_mask: mask, past_key_values: past }, shape);
  const padding = ids.map((_, row) => (mask ? Math.max(0, mask[row].indexOf(1)) : 0));
  return { ids, mask, checked: countTokens(checked, past), padding };
}

/**
 * The prompts that guidance keeps away from, one for each prompt; undefined where there is no guidance.
 * @throws {@link InputError} when they do not go with the prompts
 */
export function negativePromptOf(
  model: PreTrainedModel,
  inputs: GenerateInputs,
  { guidance_scale }: ResolvedGenerationConfig,
  { ids, checked }: Prompt,
): readonly InputRow[] | undefined {
  const { negative_prompt_ids, negative_prompt_attention_mask } = inputs;
  if (guidance_scale === null || guidance_scale === 1) {
    if (negative_prompt_ids != null)
      throw new InputError(
        `negative_prompt_ids: expected a guidance_scale beside them, found ${guidance_scale ?? "none"}`,
      );
    return undefined;
  }
  if (negative_prompt_ids == null && !ids)
    throw new InputError("guidance_scale: expected negative_prompt_ids beside inputs_embeds, found none");
  const { rows } = checkInputs(
    {
      input_ids: negative_prompt_ids ?? ids!.map((row) => [row[row.length - 1]]),
      attention_mask: negative_prompt_attention_mask ?? undefined,
    },
    model.engine.shape,
  );
  if (rows.length !== checked.rows.length)
    throw new InputError(
      `negative_prompt_ids: expected a row for each of ${checked.rows.length} prompts, found ${rows.length}`,
    );
  const empty = rows.findIndex(({ columns }) => columns.length === 0);
  if (empty >= 0)
    throw new InputError(`negative_prompt_attention_mask[${empty}]: expected at least one 1, found only padding`);
  return rows;
}

/**
 * Positions as generate counts them: of the tokens that are not padding, from 0.
 * @throws {@link InputError} where a row has no token to answer to
 */
function countTokens(checked: CheckedInputs, past: KeyValueCache | undefined): CheckedInputs {
  const rows = checked.rows.map((row, b) => {
    const { columns, padding, hides } = row;
    if (!padding?.includes(0) && (padding || columns.length === 0))
      throw new InputError(`attention_mask[${b}]: expected a token to answer to, found only padding`);
    const before = past?.rows[b];
    let count = before ? before.length - new Set([...before.hidden_slots, ...hides]).size : 0;
    const positions = columns.map((_, i) => {
      if (!padding?.[i]) count++;
      return Math.max(0, count - 1);
    });
    return { ...row, positions, reach: count };
  });
  return { ...checked, rows };
}
