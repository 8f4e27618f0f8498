// How a token is chosen from a row of scores, as data: a list of operations of logits.wasm, then the largest or a seeded
// draw. The threads do it at the end of a step, each for some rows; the host does it where a caller's functions have a say.
import type { LogitsExports } from "../kernels/logits.ts";

/** A list of ids (or a table) that an operation reads, laid into memory once. */
export interface IdList {
  readonly ids: Int32Array;
  /** What the operation is told of it: ids, or entries of a table. */
  readonly count: number;
}

/**
 * A call of logits.wasm, but for the arguments that differ from row to row. They come in this order, those that are there:
 * the scores and their number; the address and number of the row's ids from `ids` on, up to `until`; the list's address and count;
 * `numbers`; how many ids there are beyond `steps_from`; scratch.
 */
export interface Operation {
  readonly name: keyof LogitsExports;
  /** The row's ids from this index on are an argument. */
  readonly ids?: number;
  /** But none from this one on. */
  readonly until?: number;
  readonly list?: IdList;
  readonly numbers?: readonly number[];
  readonly steps_from?: number;
  readonly scratch?: boolean;
  /** Lengths of the row, [least, below), at which the operation applies; always where absent. */
  readonly least?: number;
  readonly below?: number;
}

/** What operations need to know of a row. */
export interface ScoresRow {
  /** f32 (vocab), changed in place. */
  readonly scores: number;
  readonly vocab: number;
  /** Address of the row's ids, i32 (length). */
  readonly ids: number;
  readonly length: number;
  readonly scratch: number;
}

/** @param list_at - where an operation's list was laid */
export function applyOperation(
  exports: LogitsExports,
  { name, ids, until = Infinity, list, numbers, steps_from, scratch, least = 0, below = Infinity }: Operation,
  row: ScoresRow,
  list_at: (list: IdList) => number,
): void {
  if (row.length < least || row.length >= below) return;
  const args = [row.scores, row.vocab];
  if (ids !== undefined) args.push(row.ids + ids * 4, Math.max(0, Math.min(row.length, until) - ids));
  if (list) args.push(list_at(list), list.count);
  if (numbers) args.push(...numbers);
  if (steps_from !== undefined) args.push(row.length - steps_from);
  if (scratch) args.push(row.scratch);
  (exports[name] as (...args: number[]) => unknown)(...args);
}

/** Words of a slot before the ids: what a sampler keeps in memory. */
export const slotWords = {
  /** The generator's 16 bytes. */
  state: 0,
  /** The token drawn last. */
  last: 4,
  /** 1 once a token was drawn that ends the sequence. */
  ended: 5,
  /** Where nothing could be drawn: the first score that is no number below infinity, −1 where all are −infinity; its bits. */
  bad_at: 6,
  bad_value: 7,
  ids: 8,
} as const;

/** Chooses tokens for one sequence on the threads. Plain data: told to each of them once. */
export interface TeamSampler {
  readonly id: number;
  /** Address of its slot in bank 0: `slotWords`, then the row's ids. A multiple of 16. */
  readonly slot: number;
  readonly vocab: number;
  readonly do_sample: boolean;
  readonly operations: readonly Operation[];
  /** (operation with a list) where in bank 0 it was laid. */
  readonly lists: readonly number[];
  /** Tokens after which nothing more is wanted of the sequence. */
  readonly eos: readonly number[];
}

/** The token in a step that stands for what a slot's sampler drew last. */
export const drawnToken = (slot: number): number => -1 - slot / 16;

/** The slot that such a token names. */
export const slotOf = (token: number): number => (-1 - token) * 16;

/**
 * Processes a row of scores in place, chooses a token and writes it behind the row's `length` ids.
 * @param memory - bank 0
 */
export function drawToken(
  exports: LogitsExports,
  memory: { readonly i32: Int32Array; readonly f32: Float32Array },
  sampler: TeamSampler,
  scores: number,
  length: number,
  scratch: number,
  processed: () => void,
): void {
  const { slot, vocab, operations, lists, do_sample, eos } = sampler;
  const row: ScoresRow = { scores, vocab, ids: slot + slotWords.ids * 4, length, scratch };
  let list = 0;
  for (const operation of operations) {
    const at = operation.list ? lists[list++] : 0;
    applyOperation(exports, operation, row, () => at);
  }
  processed();
  const token = do_sample ? exports.draw(scores, vocab, slot, scratch) : exports.argmax(scores, vocab);
  const word = slot / 4;
  memory.i32[word + slotWords.last] = token;
  memory.i32[word + slotWords.ids + length] = token;
  if (token < 0) {
    const at = memory.f32.subarray(scores / 4, scores / 4 + vocab).findIndex((score) => !(score < Infinity));
    memory.i32[word + slotWords.bad_at] = at;
    memory.f32[word + slotWords.bad_value] = at < 0 ? -Infinity : memory.f32[scores / 4 + at];
  }
  if (token < 0 || eos.includes(token)) memory.i32[word + slotWords.ended] = 1;
}
