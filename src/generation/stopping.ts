// When a row is finished: lengths, time, end-of-sequence ids, stop strings, and functions of the caller. Names and
// behaviour are those of transformers.js and transformers.
import { numberArgument } from "../arguments.ts";
import { answerOf, type Waiting, withoutWaiting } from "../callbacks.ts";
import { show } from "../config/show.ts";
import { ConfigError, InputError } from "../errors.ts";
import { Tensor } from "../tensor.ts";
import { idList } from "./logits_rules.ts";

/** Rows of ids, prompt included. */
export type InputIds = readonly ArrayLike<number>[];

/** What a criterion may look at beside the ids: the processed scores of the step, float32 [rows, vocab_size]. */
export type StepScores = Tensor | undefined;

/** Why a row is finished: it came to an end, or to a limit of tokens or time. */
export type FinishReason = "stop" | "length";

/** A criterion of the caller's: one answer for each row, or one for all. */
export type StoppingFunction = (input_ids: number[][], scores: StepScores) => boolean | readonly boolean[];

/** Base of the criteria. */
export abstract class StoppingCriteria {
  /** Whether each row is finished. */
  abstract _call(input_ids: InputIds, scores?: StepScores): boolean[];
}

/** Prompt and new tokens together have reached `max_length`. */
export class MaxLengthCriteria extends StoppingCriteria {
  readonly max_length: number;
  /** @throws {@link InputError} when it is no number */
  constructor(max_length: number) {
    super();
    this.max_length = numberArgument(max_length, "max_length");
  }
  _call(input_ids: InputIds): boolean[] {
    return input_ids.map((ids) => ids.length >= this.max_length);
  }
}

/** More than `max_time` seconds have passed since the criterion was made. */
export class MaxTimeCriteria extends StoppingCriteria {
  private readonly end: number;
  /** @throws {@link InputError} when it is no number */
  constructor(max_time: number) {
    super();
    this.end = performance.now() + 1000 * numberArgument(max_time, "max_time");
  }
  /** @internal Seconds that are left, fewer than none afterwards. */
  get left(): number {
    return (this.end - performance.now()) / 1000;
  }
  _call(input_ids: InputIds): boolean[] {
    const over = performance.now() > this.end;
    return input_ids.map(() => over);
  }
}

/** The last token is one of the ends of sequence. */
export class EosTokenCriteria extends StoppingCriteria {
  /** @internal */
  readonly eos_token_id: readonly number[];
  constructor(eos_token_id: number | readonly number[]) {
    super();
    this.eos_token_id = idList(eos_token_id);
  }
  _call(input_ids: InputIds): boolean[] {
    return input_ids.map((ids) => this.eos_token_id.includes(ids[ids.length - 1]));
  }
}

/**
 * Ends a generation from outside, with the next token, as transformers.js has it. An abort signal ends it sooner, in the
 * middle of a prompt, too, and then `generate` rejects; with this it gives back what there is.
 * @example
 * const stop = new InterruptableStoppingCriteria();
 * setTimeout(() => stop.interrupt(), 100);
 * await model.generate({ input_ids: ids, max_new_tokens: 30, stopping_criteria: stop });
 */
export class InterruptableStoppingCriteria extends StoppingCriteria {
  /** @internal Told of each change: they stand for it where the generation is. */
  readonly listeners: Set<(interrupted: boolean) => void> = new Set();
  private state = false;
  /** Whether `interrupt` was called since the last `reset`. */
  get interrupted(): boolean {
    return this.state;
  }
  set interrupted(interrupted: boolean) {
    this.state = interrupted;
    for (const listener of this.listeners) listener(interrupted);
  }
  /** Ends the generation with its next token. */
  interrupt(): void {
    this.interrupted = true;
  }
  /** Takes `interrupt` back, so that it can be used again. */
  reset(): void {
    this.interrupted = false;
  }
  _call(input_ids: InputIds): boolean[] {
    return input_ids.map(() => this.interrupted);
  }
}

/** What stop strings need of a tokenizer. */
export interface TokenBytes {
  /**
   * The bytes that a token stands for in the middle of a text: a leading space counts (`▁the` is " the"), a byte token is
   * its byte, a special token its literal text. None for an id beyond the vocabulary.
   */
  token_bytes(id: number): Uint8Array;
}

/**
 * Some stop string occurs and ends within the last token (which may go on behind it). Bytes are compared, so that a
 * character made of several tokens is found; the string may begin in the prompt. A space that decoding strips from the
 * beginning counts.
 */
export class StopStringCriteria extends StoppingCriteria {
  private readonly tokenizer: TokenBytes;
  private readonly stop_strings: Uint8Array[];
  private readonly longest: number;

  /** @throws {@link ConfigError} when a stop string is empty; {@link InputError} without a tokenizer */
  constructor(tokenizer: TokenBytes | null | undefined, stop_strings: string | readonly string[]) {
    super();
    if (typeof tokenizer?.token_bytes !== "function")
      throw new InputError("stop_strings: expected the model's tokenizer beside them (option `tokenizer`), found none");
    const strings = typeof stop_strings === "string" ? [stop_strings] : stop_strings;
    if (!Array.isArray(strings) || strings.length === 0 || strings.some((s) => typeof s !== "string" || s === ""))
      throw new ConfigError(`stop_strings: expected strings that are not empty, found ${show(stop_strings)}`);
    this.tokenizer = tokenizer;
    const encoder = new TextEncoder();
    this.stop_strings = strings.map((s) => encoder.encode(s));
    this.longest = Math.max(...this.stop_strings.map((s) => s.length));
  }

  _call(input_ids: InputIds): boolean[] {
    return input_ids.map((ids) => ids.length > 0 && this.endsIn(ids));
  }

  private bytes(id: number): Uint8Array {
    const bytes = this.tokenizer.token_bytes(id);
    if (bytes instanceof Uint8Array) return bytes;
    throw new InputError(`tokenizer.token_bytes(${id}): expected a Uint8Array, found ${show(bytes)}`);
  }

  private endsIn(ids: ArrayLike<number>): boolean {
    const last = this.bytes(ids[ids.length - 1]);
    // As many bytes before the last token as a match can reach back to.
    const before: Uint8Array[] = [];
    let reach = 0;
    for (let i = ids.length - 2; i >= 0 && reach < this.longest - 1; i--) {
      const bytes = this.bytes(ids[i]);
      before.push(bytes);
      reach += bytes.length;
    }
    const tail = new Uint8Array(reach + last.length);
    let at = 0;
    for (const bytes of [...before.reverse(), last]) {
      tail.set(bytes, at);
      at += bytes.length;
    }
    return this.stop_strings.some((stop) => occursEndingAfter(tail, stop, reach));
  }
}

/** Whether `wanted` occurs in `bytes` so that it ends beyond `after`. */
function occursEndingAfter(bytes: Uint8Array, wanted: Uint8Array, after: number): boolean {
  const first = Math.max(0, after - wanted.length + 1);
  for (let start = first; start + wanted.length <= bytes.length; start++) {
    if (wanted.every((byte, i) => bytes[start + i] === byte)) return true;
  }
  return false;
}

/** Whether criteria of the caller's are among them, which may look at the scores. */
export const lookAtScores = ({ criteria }: StoppingCriteriaList): boolean =>
  criteria.some((criterion) =>
    criterion instanceof StoppingCriteriaList ? lookAtScores(criterion) : !isBuiltIn(criterion),
  );

const isBuiltIn = (criterion: CustomStoppingCriteria): boolean =>
  [MaxLengthCriteria, MaxTimeCriteria, EosTokenCriteria, StopStringCriteria, InterruptableStoppingCriteria].some(
    (known) => criterion.constructor === known,
  );

/** What callers may pass as a criterion; an object with `_call` as in transformers.js. */
export type CustomStoppingCriteria = StoppingFunction | { _call: StoppingFunction };

/** Several criteria: a row is finished when one of them says so. */
export class StoppingCriteriaList extends StoppingCriteria {
  readonly criteria: CustomStoppingCriteria[] = [];

  /** @throws {@link InputError} when one is neither a criterion nor a function */
  constructor(criteria: readonly CustomStoppingCriteria[] = []) {
    super();
    if (!Array.isArray(criteria))
      throw new InputError(`stopping_criteria: expected a list of criteria, found ${show(criteria)}`);
    for (const criterion of criteria) this.push(criterion);
  }

  /** @throws {@link InputError} when it is neither a criterion nor a function */
  push(criterion: CustomStoppingCriteria): void {
    const known = typeof criterion === "function" || typeof criterion?._call === "function";
    if (!known) throw new InputError(`stopping_criteria: expected functions or criteria, found ${show(criterion)}`);
    this.criteria.push(criterion);
  }

  /** @throws {@link InputError} when a function of the caller answers with something else than booleans */
  _call(input_ids: InputIds, scores?: StepScores): boolean[] {
    return this.reasons(input_ids, scores).map((reason) => reason !== undefined);
  }

  /** Why each row is finished, where it is. @throws as `_call` */
  reasons(input_ids: InputIds, scores?: StepScores): (FinishReason | undefined)[] {
    return withoutWaiting(this.asking(input_ids, scores), "stopping_criteria");
  }

  /** @internal The same, which waits for functions whose answers come later. */
  *asking(input_ids: InputIds, scores?: StepScores): Waiting<(FinishReason | undefined)[]> {
    const reasons: (FinishReason | undefined)[] = input_ids.map(() => undefined);
    for (const criterion of this.criteria) {
      const answers =
        criterion instanceof StoppingCriteriaList
          ? yield* criterion.asking(input_ids, scores)
          : yield* reasonsOf(criterion, input_ids, scores);
      for (let row = 0; row < reasons.length; row++)
        if (reasons[row] !== "stop") reasons[row] = answers[row] ?? reasons[row];
    }
    return reasons;
  }
}

function* reasonsOf(
  criterion: CustomStoppingCriteria,
  input_ids: InputIds,
  scores: StepScores,
): Waiting<(FinishReason | undefined)[]> {
  const limit = criterion instanceof MaxLengthCriteria || criterion instanceof MaxTimeCriteria;
  const answers =
    criterion instanceof StoppingCriteria
      ? criterion._call(input_ids, scores)
      : yield* ask(criterion, input_ids, scores);
  return answers.map((done) => (done ? (limit ? "length" : "stop") : undefined));
}

function* ask(
  criterion: StoppingFunction | { _call: StoppingFunction },
  input_ids: InputIds,
  scores: StepScores,
): Waiting<readonly boolean[]> {
  const ids = input_ids.map((row) => Array.from(row));
  // A copy: the memory is another call's afterwards, and the function may keep what it is given.
  scores &&= new Tensor("float32", scores.data.slice(), scores.dims);
  const given = typeof criterion === "function" ? criterion(ids, scores) : criterion._call(ids, scores);
  const answer = yield* answerOf(criterion, given, "stopping_criteria");
  if (typeof answer === "boolean") return ids.map(() => answer);
  if (!Array.isArray(answer) || answer.length !== ids.length || answer.some((a) => typeof a !== "boolean"))
    throw new InputError(
      `stopping_criteria: expected a boolean, or one for each of ${ids.length} rows, found ${show(answer)}`,
    );
  return answer;
}

/** One criterion, several or a list as a list; none for null and undefined. */
export function toStoppingCriteria(
  criteria: CustomStoppingCriteria | readonly CustomStoppingCriteria[] | null | undefined,
): StoppingCriteriaList {
  if (criteria === null || criteria === undefined) return new StoppingCriteriaList();
  if (criteria instanceof StoppingCriteriaList) return criteria;
  return new StoppingCriteriaList(Array.isArray(criteria) ? criteria : [criteria as CustomStoppingCriteria]);
}

/** The criteria of a call: those of its settings, then the caller's. @throws {@link InputError} or ConfigError */
export function buildCriteria(
  { max_time, stop_strings }: { max_time: number | null; stop_strings: string | readonly string[] | null },
  inputs: {
    tokenizer?: unknown;
    stopping_criteria?: CustomStoppingCriteria | readonly CustomStoppingCriteria[] | null;
  },
  max_length: number,
  eos: readonly number[],
): StoppingCriteriaList {
  const criteria: CustomStoppingCriteria[] = [new MaxLengthCriteria(max_length)];
  if (max_time !== null) criteria.push(new MaxTimeCriteria(max_time));
  if (stop_strings !== null) criteria.push(new StopStringCriteria(inputs.tokenizer as TokenBytes, stop_strings));
  if (eos.length) criteria.push(new EosTokenCriteria(eos));
  criteria.push(...toStoppingCriteria(inputs.stopping_criteria).criteria);
  return toStoppingCriteria(criteria);
}
