// The processors: what every kind of generation does to the scores, sampling or not. Each checks its settings once and
// names its twin in logits.wasm. Source of all but the frequency penalty: Hugging Face's transformers.

import { functionArgument } from "../arguments.ts";
import { answerOf, type Waiting } from "../callbacks.ts";
import { show } from "../config/show.ts";
import { ConfigError, InputError } from "../errors.ts";
import type { IdList, Operation } from "../model/sampling.ts";
import { integer, nonEmptyList, number, tokens } from "./logits_rules.ts";
import { type LogitsRow, RowProcessor } from "./row_processor.ts";

/** Adds a bias to tokens: to a single one always, to the last of a sequence where the ids so far lead up to it. */
export class SequenceBiasLogitsProcessor extends RowProcessor {
  private readonly table: IdList;

  /**
   * @param sequence_bias - [[ids, bias], …]; of equal sequences the last counts
   * @throws ConfigError when it is empty, a bias is NaN or +infinity, or an id is not in the vocabulary
   */
  constructor(sequence_bias: readonly (readonly [readonly number[], number])[], vocab_size: number) {
    super();
    nonEmptyList("sequence_bias", sequence_bias);
    const distinct = new Map<string, Int32Array>();
    for (const entry of sequence_bias) {
      if (!Array.isArray(entry))
        throw new ConfigError(`sequence_bias: expected [token ids, bias], found ${show(entry)}`);
      const ids = tokens("sequence_bias", nonEmptyList("sequence_bias", entry[0]), vocab_size);
      const bias = number("sequence_bias", entry[1], "a number, or -Infinity", (v) => v < Infinity);
      distinct.set(ids.join(), encode(ids, bias));
    }
    this.table = { ids: concatenate([...distinct.values()]), count: distinct.size };
  }

  operations(): readonly Operation[] {
    return [{ name: "sequence_bias", ids: 0, list: this.table, scratch: true }];
  }
}

/** A list that an operation is told the length of. */
const listOf = (ids: readonly number[]): IdList => ({ ids: Int32Array.from(ids), count: ids.length });

/** An entry of logits.wasm's table: the length, the bits of the bias as f32, the ids. */
function encode(ids: readonly number[], bias: number): Int32Array {
  const entry = new Int32Array(2 + ids.length);
  entry[0] = ids.length;
  new Float32Array(entry.buffer)[1] = bias;
  entry.set(ids, 2);
  return entry;
}

function concatenate(parts: Int32Array[]): Int32Array {
  const all = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Bans sequences: a bias of -infinity. Entries that are an end-of-sequence id alone are passed over. */
export class NoBadWordsLogitsProcessor extends RowProcessor {
  private readonly biases: SequenceBiasLogitsProcessor | undefined;

  /** @throws ConfigError when it is empty, not a list of lists, or an id is not in the vocabulary */
  constructor(bad_words_ids: readonly (readonly number[])[], eos_token_id: readonly number[], vocab_size: number) {
    super();
    nonEmptyList("bad_words_ids", bad_words_ids);
    const words = bad_words_ids
      .map((word) => tokens("bad_words_ids", word, vocab_size))
      .filter((word) => word.length > 0 && !(word.length === 1 && eos_token_id.includes(word[0])));
    if (words.length > 0)
      this.biases = new SequenceBiasLogitsProcessor(
        words.map((word) => [word, -Infinity] as const),
        vocab_size,
      );
  }

  operations(): readonly Operation[] {
    return this.biases?.operations() ?? [];
  }
}

/** Divides the positive and multiplies the negative scores of ids that occurred ("CTRL", 2019); left padding is none. */
export class RepetitionPenaltyLogitsProcessor extends RowProcessor {
  private readonly penalty: number;
  private readonly ignored: readonly number[] | number;

  /**
   * @param prompt_ignore_length - ids at the start that do not count, for all rows or for each
   * @throws ConfigError unless above 0
   */
  constructor(penalty: number, prompt_ignore_length: readonly number[] | number = 0) {
    super();
    this.penalty = number("repetition_penalty", penalty, "a number above 0", (v) => v > 0 && v < Infinity);
    this.ignored = prompt_ignore_length;
  }

  operations(row: number): readonly Operation[] {
    const from = typeof this.ignored === "number" ? this.ignored : this.ignored[row];
    return [{ name: "repetition_penalty", ids: from, numbers: [this.penalty], scratch: true }];
  }
}

/** The same for the ids of the prompt alone, the other way round: above 1 they become likelier. */
export class EncoderRepetitionPenaltyLogitsProcessor extends RowProcessor {
  private readonly penalty: number;
  private readonly prompt_length: number;

  /** @throws ConfigError unless above 0 */
  constructor(penalty: number, prompt_length: number) {
    super();
    this.penalty = 1 / number("encoder_repetition_penalty", penalty, "a number above 0", (v) => v > 0 && v < Infinity);
    this.prompt_length = prompt_length;
  }

  operations(): readonly Operation[] {
    const { penalty, prompt_length } = this;
    return [{ name: "repetition_penalty", ids: 0, until: prompt_length, numbers: [penalty], scratch: true }];
  }
}

/** OpenAI's penalties over the generated ids: score -= occurrences * frequency + (occurrences > 0) * presence. */
export class FrequencyPresencePenaltyLogitsProcessor extends RowProcessor {
  private readonly frequency: number;
  private readonly presence: number;
  private readonly prompt_length: number;

  /** @throws ConfigError unless both are finite numbers */
  constructor(frequency_penalty: number, presence_penalty: number, prompt_length: number) {
    super();
    this.frequency = number("frequency_penalty", frequency_penalty, "a finite number", Number.isFinite);
    this.presence = number("presence_penalty", presence_penalty, "a finite number", Number.isFinite);
    this.prompt_length = prompt_length;
  }

  operations(): readonly Operation[] {
    const numbers = [this.frequency, this.presence];
    return [{ name: "frequency_presence_penalty", ids: this.prompt_length, numbers, scratch: true }];
  }
}

/** Bans every token that would repeat a run of n ids. */
export class NoRepeatNGramLogitsProcessor extends RowProcessor {
  private readonly size: number;
  /** @throws ConfigError unless an integer above 0 */
  constructor(ngram_size: number) {
    super();
    this.size = integer("no_repeat_ngram_size", ngram_size, 1);
  }
  operations(): readonly Operation[] {
    return [{ name: "no_repeat_ngram", ids: 0, numbers: [this.size], least: this.size }];
  }
}

/** Bans every token that would repeat a run of n ids of the prompt. */
export class EncoderNoRepeatNGramLogitsProcessor extends RowProcessor {
  private readonly size: number;
  private readonly prompt_length: number;
  /** @throws ConfigError unless an integer above 0 */
  constructor(encoder_ngram_size: number, prompt_length: number) {
    super();
    this.size = integer("encoder_no_repeat_ngram_size", encoder_ngram_size, 1);
    this.prompt_length = prompt_length;
  }
  operations(): readonly Operation[] {
    const { size, prompt_length } = this;
    return [{ name: "encoder_no_repeat_ngram", ids: 0, numbers: [size, prompt_length], least: size - 1 }];
  }
}

/** Removes tokens at some lengths. */
abstract class Suppression extends RowProcessor {
  private readonly tokens: IdList;
  constructor(name: string, ids: readonly number[]) {
    super();
    this.tokens = listOf(tokens(name, ids));
  }
  /** The lengths, [least, below), at which the tokens are removed. */
  protected abstract readonly lengths: { readonly least?: number; readonly below?: number };
  operations(): readonly Operation[] {
    return [{ name: "suppress", list: this.tokens, ...this.lengths }];
  }
}

/** No end of sequence before prompt and new tokens are `min_length`. */
export class MinLengthLogitsProcessor extends Suppression {
  protected readonly lengths: { readonly below: number };
  /** @throws ConfigError when negative */
  constructor(min_length: number, eos_token_id: readonly number[]) {
    super("eos_token_id", eos_token_id);
    this.lengths = { below: integer("min_length", min_length, 0) };
  }
}

/** No end of sequence before there are `min_new_tokens`. */
export class MinNewTokensLengthLogitsProcessor extends Suppression {
  protected readonly lengths: { readonly below: number };
  /** @throws ConfigError when negative */
  constructor(prompt_length: number, min_new_tokens: number, eos_token_id: readonly number[]) {
    super("eos_token_id", eos_token_id);
    this.lengths = { below: prompt_length + integer("min_new_tokens", min_new_tokens, 0) };
  }
}

/** Never these tokens; ids beyond the vocabulary have no effect. */
export class SuppressTokensLogitsProcessor extends Suppression {
  protected readonly lengths = {};
  /** @throws ConfigError unless a list of ids */
  constructor(suppress_tokens: readonly number[]) {
    super("suppress_tokens", suppress_tokens);
  }
}

/** Not these tokens first. */
export class SuppressTokensAtBeginLogitsProcessor extends Suppression {
  protected readonly lengths: { readonly least: number; readonly below: number };
  /** @param begin_index - the length at which the first token is chosen */
  constructor(begin_suppress_tokens: readonly number[], begin_index: number) {
    super("begin_suppress_tokens", begin_suppress_tokens);
    this.lengths = { least: begin_index, below: begin_index + 1 };
  }
}

/** At one length only the given tokens, all with score 0. */
abstract class Forcing extends RowProcessor {
  private readonly tokens: IdList;
  private readonly length: number;
  constructor(name: string, ids: readonly number[], length: number) {
    super();
    this.tokens = listOf(tokens(name, ids));
    this.length = length;
  }
  operations(): readonly Operation[] {
    return [{ name: "force", list: this.tokens, least: this.length, below: this.length + 1 }];
  }
}

/** The second token of a sequence. */
export class ForcedBOSTokenLogitsProcessor extends Forcing {
  /** @throws ConfigError unless a token id */
  constructor(forced_bos_token_id: number) {
    super("forced_bos_token_id", [forced_bos_token_id], 1);
  }
}

/** The last token that `max_length` leaves room for. */
export class ForcedEOSTokenLogitsProcessor extends Forcing {
  /** @throws ConfigError unless token ids */
  constructor(max_length: number, forced_eos_token_id: readonly number[]) {
    super("forced_eos_token_id", forced_eos_token_id, max_length - 1);
  }
}

/** Only what a function of the caller allows next. */
export class PrefixConstrainedLogitsProcessor extends RowProcessor {
  private readonly allowed: (batch_id: number, input_ids: number[]) => readonly number[];
  private readonly num_beams: number;

  constructor(prefix_allowed_tokens_fn: (batch_id: number, input_ids: number[]) => readonly number[], num_beams = 1) {
    super();
    this.allowed = functionArgument(prefix_allowed_tokens_fn, "prefix_allowed_tokens_fn");
    this.num_beams = num_beams;
  }

  operations(): undefined {
    return undefined;
  }

  override list_ids(vocab_size: number): number {
    return vocab_size;
  }

  /** @throws InputError when the function allows nothing */
  override *process({ workspace: w, logits, input_ids, row }: LogitsRow): Waiting<void> {
    const batch_id = Math.floor(row / this.num_beams);
    const name = "prefix_allowed_tokens_fn";
    const answer = this.allowed(batch_id, Array.from(input_ids));
    const allowed = tokens(name, yield* answerOf(this.allowed, answer, name));
    if (allowed.length === 0)
      throw new InputError(`prefix_allowed_tokens_fn: expected allowed token ids, found none for row ${batch_id}`);
    const distinct = [...new Set(allowed)].filter((id) => id < w.vocab_size);
    w.exports.allow(logits, w.vocab_size, w.put(distinct), distinct.length, w.scratch);
  }
}

/** NaN becomes 0, infinities the largest finite numbers. */
export class InfNanRemoveLogitsProcessor extends RowProcessor {
  operations(): readonly Operation[] {
    return [{ name: "remove_invalid" }];
  }
}

/** From `start` new tokens on raises the end of sequence more with each: += |score| * (factor^(new - start) - 1). */
export class ExponentialDecayLengthPenalty extends RowProcessor {
  private readonly start: number;
  private readonly factor: number;
  private readonly eos: IdList;

  /** @throws ConfigError unless [start, factor] are an integer of at least 0 and a finite number */
  constructor(
    exponential_decay_length_penalty: readonly [number, number],
    eos_token_id: readonly number[],
    prompt_length: number,
  ) {
    super();
    const name = "exponential_decay_length_penalty";
    const [start, factor] = nonEmptyList(name, exponential_decay_length_penalty);
    this.start = prompt_length + integer(`${name}[0]`, start, 0);
    this.factor = number(`${name}[1]`, factor, "a finite number", Number.isFinite);
    // An id that is named twice is one end.
    this.eos = listOf([...new Set(tokens("eos_token_id", eos_token_id))]);
  }

  operations(): readonly Operation[] {
    const { start, factor, eos } = this;
    return [{ name: "exponential_decay", list: eos, numbers: [factor], steps_from: start, least: start + 1 }];
  }
}
