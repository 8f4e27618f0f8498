// The ordered list of processors and warpers of a generation, and the functions of the caller among them.
import { answerOf, type Waiting, withoutWaiting } from "../callbacks.ts";
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { Operation } from "../model/sampling.ts";
import { Tensor } from "../tensor.ts";
import type { LogitsWorkspace } from "./logits_module.ts";
import * as processor from "./logits_processors.ts";
import { idList } from "./logits_rules.ts";
import * as warper from "./logits_warpers.ts";
import { RowProcessor } from "./row_processor.ts";

/**
 * A processor of the caller's: changes `scores` (float32 [rows, vocab_size]) in place, or returns others of the same size.
 * An object with this as `_call`, as in transformers.js, will do as well.
 * @example
 * const never13: LogitsProcessorFunction = (_input_ids, scores) => { for (const row of scores) row.data[13] = -Infinity; };
 */
export type LogitsProcessorFunction = (input_ids: number[][], scores: Tensor) => unknown;

/** Base of the caller's own, as transformers.js has it. */
export abstract class LogitsProcessor {
  /** Changes the scores of a batch in place, or returns others. */
  abstract _call(input_ids: number[][], scores: Tensor): unknown;
}

/** What callers may pass as a processor; an object with `_call` as in transformers.js. */
export type CustomLogitsProcessor = LogitsProcessorFunction | { _call: LogitsProcessorFunction };

/** Processors of the caller's, as `generate` takes them. */
export type LogitsProcessors = LogitsProcessorList | readonly CustomLogitsProcessor[] | CustomLogitsProcessor;

/** A processor of the caller's, or of a setting. */
export type AnyProcessor = RowProcessor | CustomLogitsProcessor;

/** Processors in the order in which they are applied. */
export class LogitsProcessorList {
  /** @internal Those of the caller and those of the settings. */
  readonly processors: AnyProcessor[] = [];

  /** @throws {@link InputError} when one is neither a processor nor a function */
  constructor(processors?: readonly CustomLogitsProcessor[]);
  /** @internal */
  constructor(processors: readonly AnyProcessor[]);
  constructor(processors: readonly AnyProcessor[] = []) {
    this.extend(processors);
  }

  /** @throws as the constructor */
  push(processor: CustomLogitsProcessor): void;
  /** @internal */
  push(processor: AnyProcessor): void;
  push(processor: AnyProcessor): void {
    this.extend([processor]);
  }

  /** @throws as the constructor */
  extend(processors: readonly CustomLogitsProcessor[]): void;
  /** @internal */
  extend(processors: readonly AnyProcessor[]): void;
  extend(processors: readonly AnyProcessor[]): void {
    if (!Array.isArray(processors))
      throw new InputError(`logits_processor: expected a list of processors, found ${show(processors)}`);
    for (const p of processors) {
      const known = p instanceof RowProcessor || typeof p === "function" || typeof p?._call === "function";
      if (!known) throw new InputError(`logits_processor: expected functions or processors, found ${show(p)}`);
      this.processors.push(p);
    }
  }

  /** @internal The most ids that a workspace must have room for, the sequence's own among them. */
  list_ids(vocab_size: number, max_length: number): number {
    const own = this.processors.filter((p) => p instanceof RowProcessor);
    return own.reduce((sum, p) => sum + p.list_ids(vocab_size), max_length);
  }

  /** @internal All that they do to a row, as data; undefined where a function of the caller has a say. */
  operations(row: number): readonly Operation[] | undefined {
    const all: Operation[] = [];
    for (const p of this.processors) {
      const operations = p instanceof RowProcessor ? p.operations(row) : undefined;
      if (!operations) return undefined;
      all.push(...operations);
    }
    return all;
  }

  /**
   * @internal Processes the scores of a batch in place.
   * @param input_ids - for each row the prompt and the generated ids, all of one length
   * @param address - of f32 [rows, vocab_size]
   * @param goes_on - the rows that are not finished, all where absent; functions of the caller see every row
   * @throws {@link InputError} when a function of the caller returns something else than scores, or not at once
   */
  process(
    workspace: LogitsWorkspace,
    input_ids: readonly Int32Array[],
    address: number,
    goes_on?: ReadonlySet<number>,
  ): void {
    withoutWaiting(this.processing(workspace, input_ids, address, goes_on), "logits_processor");
  }

  /** @internal The same, which waits for functions whose answers come later. */
  *processing(
    workspace: LogitsWorkspace,
    input_ids: readonly Int32Array[],
    address: number,
    goes_on?: ReadonlySet<number>,
  ): Waiting<void> {
    let i = 0;
    while (i < this.processors.length) {
      const custom = this.processors.findIndex((p, at) => at >= i && !(p instanceof RowProcessor));
      const end = custom < 0 ? this.processors.length : custom;
      // Row by row, so that the row's ids are laid into the workspace once for all processors.
      const own = this.processors.slice(i, end) as RowProcessor[];
      if (end > i) yield* this.processRows(workspace, input_ids, address, own, goes_on);
      if (custom >= 0) yield* callCustom(this.processors[custom], workspace, input_ids, address);
      i = end + 1;
    }
  }

  private *processRows(
    workspace: LogitsWorkspace,
    input_ids: readonly Int32Array[],
    address: number,
    processors: RowProcessor[],
    goes_on: ReadonlySet<number> | undefined,
  ): Waiting<void> {
    for (let row = 0; row < input_ids.length; row++) {
      if (goes_on && !goes_on.has(row)) continue;
      workspace.clear();
      const ids = workspace.put(input_ids[row]);
      const logits = address + 4 * row * workspace.vocab_size;
      for (const p of processors) {
        const waits = p.process({ workspace, logits, input_ids: input_ids[row], ids, row });
        if (waits) yield* waits;
      }
    }
  }
}

function* callCustom(
  custom: AnyProcessor,
  workspace: LogitsWorkspace,
  input_ids: readonly Int32Array[],
  address: number,
): Waiting<void> {
  const rows = input_ids.length;
  const view = workspace.view(address, rows);
  // A copy: the memory is another call's afterwards, and the function may have kept what it was given.
  const scores = new Tensor("float32", view.slice(), [rows, workspace.vocab_size]);
  const ids = input_ids.map((row) => Array.from(row));
  const answer =
    typeof custom === "function"
      ? custom(ids, scores)
      : (custom as { _call: LogitsProcessorFunction })._call(ids, scores);
  const result = yield* answerOf(custom, answer, "logits_processor");
  const data = result === undefined ? scores.data : result instanceof Tensor ? result.data : result;
  if (!(data instanceof Float32Array) || data.length !== view.length) {
    const found = data instanceof Float32Array ? `${data.length} values` : show(data);
    throw new InputError(
      `logits_processor: expected float32 [${rows}, ${workspace.vocab_size}] or nothing, found ${found}`,
    );
  }
  workspace.view(address, rows).set(data);
}

/** The settings that processors are built from; what is absent or null is off. */
export type ProcessorConfig = {
  [K in
    | "do_sample"
    | "num_beams"
    | "max_length"
    | "eos_token_id"
    | "sequence_bias"
    | "encoder_repetition_penalty"
    | "repetition_penalty"
    | "no_repeat_ngram_size"
    | "encoder_no_repeat_ngram_size"
    | "bad_words_ids"
    | "min_length"
    | "min_new_tokens"
    | "forced_bos_token_id"
    | "forced_eos_token_id"
    | "remove_invalid_values"
    | "exponential_decay_length_penalty"
    | "suppress_tokens"
    | "begin_suppress_tokens"
    | "temperature"
    | "top_h"
    | "top_k"
    | "top_p"
    | "min_p"
    | "typical_p"
    | "epsilon_cutoff"
    | "eta_cutoff"
    | "renormalize_logits"]?: ResolvedGenerationConfig[K] | null;
} & {
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
};

/** The ids that may come after those of a row: `batch_id` counts prompts. */
export type PrefixFunction = (batch_id: number, input_ids: number[]) => readonly number[];

/** What of a call of `generate` the processors depend on beside its config. */
export interface ProcessorContext {
  vocab_size: number;
  /** Length of the prompts, padding included. */
  prompt_length: number;
  /** Left padding of each row. */
  padding_lengths?: readonly number[];
  prefix_allowed_tokens_fn?: PrefixFunction | null | undefined;
  logits_processor?: LogitsProcessors | null | undefined;
}

/**
 * Builds the list in the order of Hugging Face's `generate`; OpenAI's penalties follow the repetition penalty.
 * @param config - resolved, with max_length for prompt and new tokens together
 * @throws {@link ConfigError} when a setting is out of range or an id is not in the vocabulary
 */
export function build_logits_processors(config: ProcessorConfig, context: ProcessorContext): LogitsProcessorList {
  return new LogitsProcessorList([
    ...processorsOf(config, context),
    ...customOf(context.logits_processor),
    ...(config.do_sample ? warpersOf(config) : []),
    ...(config.renormalize_logits ? [new warper.LogitNormalization()] : []),
  ]);
}

const isSet = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined;

function processorsOf(c: ProcessorConfig, { vocab_size, prompt_length, ...context }: ProcessorContext): RowProcessor[] {
  const list: RowProcessor[] = [];
  const eos = idList(c.eos_token_id);
  if (isSet(c.sequence_bias)) list.push(new processor.SequenceBiasLogitsProcessor(c.sequence_bias, vocab_size));
  // Where there are embeddings, transformers has no ids for these two either.
  if (isSet(c.encoder_repetition_penalty) && c.encoder_repetition_penalty !== 1 && prompt_length > 0)
    list.push(new processor.EncoderRepetitionPenaltyLogitsProcessor(c.encoder_repetition_penalty, prompt_length));
  if (isSet(c.repetition_penalty) && c.repetition_penalty !== 1)
    list.push(new processor.RepetitionPenaltyLogitsProcessor(c.repetition_penalty, context.padding_lengths));
  if ((c.frequency_penalty ?? 0) !== 0 || (c.presence_penalty ?? 0) !== 0)
    list.push(
      new processor.FrequencyPresencePenaltyLogitsProcessor(
        c.frequency_penalty ?? 0,
        c.presence_penalty ?? 0,
        prompt_length,
      ),
    );
  if (c.no_repeat_ngram_size) list.push(new processor.NoRepeatNGramLogitsProcessor(c.no_repeat_ngram_size));
  if (c.encoder_no_repeat_ngram_size && prompt_length > 0)
    list.push(new processor.EncoderNoRepeatNGramLogitsProcessor(c.encoder_no_repeat_ngram_size, prompt_length));
  if (isSet(c.bad_words_ids)) list.push(new processor.NoBadWordsLogitsProcessor(c.bad_words_ids, eos, vocab_size));
  if (c.min_length && eos.length > 0) list.push(new processor.MinLengthLogitsProcessor(c.min_length, eos));
  if (c.min_new_tokens && eos.length > 0)
    list.push(new processor.MinNewTokensLengthLogitsProcessor(prompt_length, c.min_new_tokens, eos));
  if (context.prefix_allowed_tokens_fn)
    list.push(new processor.PrefixConstrainedLogitsProcessor(context.prefix_allowed_tokens_fn, c.num_beams ?? 1));
  if (isSet(c.forced_bos_token_id)) list.push(new processor.ForcedBOSTokenLogitsProcessor(c.forced_bos_token_id));
  if (isSet(c.forced_eos_token_id) && isSet(c.max_length))
    list.push(new processor.ForcedEOSTokenLogitsProcessor(c.max_length, idList(c.forced_eos_token_id)));
  if (c.remove_invalid_values) list.push(new processor.InfNanRemoveLogitsProcessor());
  if (isSet(c.exponential_decay_length_penalty))
    list.push(new processor.ExponentialDecayLengthPenalty(c.exponential_decay_length_penalty, eos, prompt_length));
  if (isSet(c.suppress_tokens)) list.push(new processor.SuppressTokensLogitsProcessor(c.suppress_tokens));
  if (isSet(c.begin_suppress_tokens)) {
    // A forced first token comes before the beginning.
    const forced = prompt_length <= 1 && isSet(c.forced_bos_token_id);
    const begin = prompt_length + (forced ? 1 : 0);
    list.push(new processor.SuppressTokensAtBeginLogitsProcessor(c.begin_suppress_tokens, begin));
  }
  return list;
}

function customOf(custom: ProcessorContext["logits_processor"]): readonly AnyProcessor[] {
  if (!isSet(custom)) return [];
  if (custom instanceof LogitsProcessorList) return custom.processors;
  return new LogitsProcessorList(Array.isArray(custom) ? custom : [custom as CustomLogitsProcessor]).processors;
}

function warpersOf(c: ProcessorConfig): RowProcessor[] {
  const list: RowProcessor[] = [];
  // Beams need one token beside the ends of sequence, to go on with.
  const keep = (c.num_beams ?? 1) > 1 ? Math.max(1, idList(c.eos_token_id).length) + 1 : 1;
  if (isSet(c.temperature) && c.temperature !== 1) list.push(new warper.TemperatureLogitsWarper(c.temperature));
  if (isSet(c.top_h)) list.push(new warper.TopHLogitsWarper(c.top_h));
  if (c.top_k) list.push(new warper.TopKLogitsWarper(c.top_k, keep));
  if (isSet(c.top_p) && c.top_p !== 1) list.push(new warper.TopPLogitsWarper(c.top_p, keep));
  if (isSet(c.min_p)) list.push(new warper.MinPLogitsWarper(c.min_p, keep));
  if (isSet(c.typical_p) && c.typical_p !== 1) list.push(new warper.TypicalLogitsWarper(c.typical_p, keep));
  if (c.epsilon_cutoff) list.push(new warper.EpsilonLogitsWarper(c.epsilon_cutoff, keep));
  if (c.eta_cutoff) list.push(new warper.EtaLogitsWarper(c.eta_cutoff, keep));
  return list;
}
