// What a cache refuses, and with which words: of one that lies in the engine's memory, and of one that stands for it elsewhere.
import { show } from "../config/show.ts";
import { EngineError, InputError } from "../errors.ts";

/** Rows of a cache at most. */
const MOST_ROWS = 2 ** 16;

/** @throws {@link InputError} where no cache has so many rows */
export function checkRowCount(rows: number): void {
  if (!Number.isInteger(rows) || rows < 1 || rows > MOST_ROWS)
    throw new InputError(`past_key_values: expected a cache of 1 to ${MOST_ROWS} rows, found ${show(rows)}`);
}

/** How a cache stands. */
export interface CacheStanding {
  /** A call was cut off beyond repair. */
  readonly incomplete: boolean;
  readonly disposed: boolean;
  /** The model was disposed. */
  readonly closed: boolean;
  /** A call is extending it. */
  readonly busy: boolean;
}

/** A row: its tokens, and how many of them have to stay, as a window has given back what they would need. */
export interface CacheRow {
  readonly length: number;
  readonly least: number;
}

/**
 * @throws {@link EngineError} where a cache is of no use any more
 * @throws {@link InputError} while a call extends it
 */
export function checkStanding({ incomplete, disposed, closed, busy }: CacheStanding): void {
  if (incomplete)
    throw new EngineError("past_key_values: a call that was cut off has given keys back; make a new cache");
  if (disposed) throw new EngineError("past_key_values: this cache was disposed");
  if (closed) throw new EngineError("past_key_values: the model was disposed");
  if (busy) throw new InputError("past_key_values: another call is extending this cache; fork it before");
}

/** Whether a cache is of use, and its rows can be cut back by so many tokens. */
export const isCroppable = (standing: CacheStanding, rows: readonly CacheRow[], tokens: number): boolean =>
  !Object.values(standing).includes(true) && rows.every((row) => canDrop(row, tokens));

/** Whether the keys of what remains without the last tokens are there. */
const canDrop = ({ length, least }: CacheRow, tokens: number): boolean => Math.max(0, length - tokens) >= least;

/**
 * How many tokens `crop` takes off each row.
 * @param length - as the caller gave it: a negative one counts from the end
 * @throws {@link InputError} when it is none, or pages that the shorter sequence would need were given back
 */
export function tokensToDrop(columns: number, rows: readonly CacheRow[], length: number): number {
  const whole = Number.isInteger(length);
  const target = whole && length < 0 ? columns + length : length;
  if (!whole || target < 0) throw new InputError(`crop: expected a length up to ${columns}, found ${show(length)}`);
  const drop = Math.max(0, columns - target);
  const stays = rows.findIndex((row) => drop > 0 && !canDrop(row, drop));
  if (stays < 0) return drop;
  const row = rows[stays];
  throw new InputError(
    `crop: row ${stays} has ${row.length} tokens, of whose keys the window has left those for ${row.length - row.least} tokens to be taken back, not ${drop}`,
  );
}
