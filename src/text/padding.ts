// Cuts rows of ids to a length and fills them up to one, by the rules and option names of transformers.
import { show } from "../config/show.ts";
import { InputError, TokenizerError } from "../errors.ts";
import { warnOnce } from "../platform/warn_once.ts";
import { TEXT_LIMITS } from "./limits.ts";
import type { Row } from "./sequence_template.ts";
import type { Side } from "./special_tokens.ts";

/** Whether, and how far, rows are padded. */
export type Padding = boolean | "longest" | "max_length" | "do_not_pad";
/** Whether, and how, rows are cut. */
export type Truncation = boolean | "longest_first" | "only_first" | "only_second" | "do_not_truncate";

const PADDINGS: readonly unknown[] = [undefined, true, false, "longest", "max_length", "do_not_pad"];
const TRUNCATIONS: readonly unknown[] = [
  undefined,
  true,
  false,
  "longest_first",
  "only_first",
  "only_second",
  "do_not_truncate",
];

/** Truncations that cut nothing. */
const NONE: readonly unknown[] = [false, "do_not_truncate"];

/**
 * Checks the options of lengths, and tells of one that has no effect, as transformers.js does.
 * @throws {@link InputError} when an option is none of its values
 */
export function checkLengths(options: {
  padding?: unknown;
  truncation?: unknown;
  max_length?: unknown;
  pad_to_multiple_of?: unknown;
}): void {
  const fail = (name: string, expected: string, found: unknown) => {
    throw new InputError(`${name}: expected ${expected}, found ${show(found)}`);
  };
  if (!PADDINGS.includes(options.padding))
    fail("padding", 'true, false, "longest", "max_length" or "do_not_pad"', options.padding);
  if (!TRUNCATIONS.includes(options.truncation))
    fail(
      "truncation",
      'true, false, "longest_first", "only_first", "only_second" or "do_not_truncate"',
      options.truncation,
    );
  const { max_length, pad_to_multiple_of } = options;
  if (max_length !== undefined && !(Number.isInteger(max_length) && (max_length as number) >= 0))
    fail("max_length", "a whole number", max_length);
  if (pad_to_multiple_of !== undefined && !(Number.isInteger(pad_to_multiple_of) && (pad_to_multiple_of as number) > 0))
    fail("pad_to_multiple_of", "a whole number above 0", pad_to_multiple_of);
  const cuts = options.truncation !== undefined && !NONE.includes(options.truncation);
  if (max_length !== undefined && !cuts && options.padding !== "max_length")
    void warnOnce(
      "max_length of a tokenizer",
      'tokenizer: max_length has no effect without truncation: true or padding: "max_length"',
    );
}

const cut = (ids: readonly number[], length: number, side: Side): readonly number[] =>
  side === "right" ? ids.slice(0, length) : ids.slice(Math.max(0, ids.length - length));

/**
 * Shortens a text, or a pair of texts, so that both have at most `room` ids together.
 * `longest_first` (and true) takes from the longer one, and once they are equal from both; `only_first` and
 * `only_second` take from that one alone.
 * @throws {@link InputError} when the text to cut is too short for it or is not there
 */
export function truncate(
  a: readonly number[],
  b: readonly number[] | undefined,
  room: number,
  truncation: Truncation,
  side: Side,
): [readonly number[], readonly number[] | undefined] {
  if (room < 0) throw new InputError(`max_length: expected at least ${-room} more, to hold the special tokens`);
  const excess = a.length + (b?.length ?? 0) - room;
  if (excess <= 0) return [a, b];
  if (truncation === "only_first" || truncation === "only_second") {
    const target = truncation === "only_first" ? a : b;
    if (!target) throw new InputError(`truncation: only_second needs a text_pair`);
    if (target.length <= excess)
      throw new InputError(
        `truncation: ${truncation} must take ${excess} tokens from a text of ${target.length}; use longest_first or a larger max_length`,
      );
    const shorter = cut(target, target.length - excess, side);
    return truncation === "only_first" ? [shorter, b] : [a, shorter];
  }
  if (!b) return [cut(a, room, side), b];
  let [short, long] = [a.length, b.length].sort((x, y) => x - y);
  long = Math.min(long, Math.max(short, room - short));
  if (short + long > room) [short, long] = [room >> 1, room - (room >> 1)];
  const [first, second] = a.length <= b.length ? [short, long] : [long, short];
  return [cut(a, first, side), cut(b, second, side)];
}

/** A row filled up, with 1 where it stands for text and 0 where it was filled. */
export interface PaddedRow extends Row {
  readonly attention_mask: readonly number[];
}

/**
 * @param padId - undefined where the tokenizer has no pad token
 * @param limit - max_length, or what stands in for it; Infinity for none
 * @throws {@link TokenizerError} when rows are to be padded and there is no pad token
 */
export function pad(
  rows: readonly Row[],
  padding: Padding,
  limit: number,
  multiple: number,
  side: Side,
  padId: number | undefined,
): PaddedRow[] {
  const wanted = padding !== false && padding !== "do_not_pad";
  if (wanted && padId === undefined)
    throw new TokenizerError(
      `padding: the tokenizer has no pad token; set one, e.g. tokenizer.pad_token = tokenizer.eos_token`,
    );
  let width = 0;
  if (padding === "max_length" && Number.isFinite(limit)) width = limit;
  else if (wanted && padding !== "max_length") for (const { ids } of rows) width = Math.max(width, ids.length);
  width = Math.ceil(width / multiple) * multiple;
  const filled = rows.reduce((sum, { ids }) => sum + Math.max(0, width - ids.length), 0);
  if (filled > TEXT_LIMITS.padding)
    throw new InputError(
      `padding: ${filled} pad tokens would fill ${rows.length} rows to ${width} ids, ${TEXT_LIMITS.padding} are allowed; pass a smaller max_length`,
    );
  return rows.map(({ ids, type_ids }) => {
    const missing = Math.max(0, width - ids.length);
    const fill = (values: readonly number[], filling: number): readonly number[] => {
      const more = new Array<number>(missing).fill(filling);
      return side === "right" ? [...values, ...more] : [...more, ...values];
    };
    return {
      ids: fill(ids, padId ?? 0),
      type_ids: fill(type_ids, 0),
      attention_mask: fill(
        ids.map(() => 1),
        0,
      ),
    };
  });
}
