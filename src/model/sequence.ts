// What the scheduler works with: a sequence says what it has pending and what it wants of it; the scheduler takes as many
// rows as fit into a step, and tells the sequence when they were computed.
import type { Wants } from "./outputs.ts";
import type { PageList } from "./pages.ts";

/** Rows that a step takes of a sequence. */
export interface TakenRows {
  /** Token ids, or `drawnToken(slot)`; ignored where embeddings are given. */
  readonly tokens: Int32Array;
  /** (rows, hidden) */
  readonly embeds?: Float32Array;
  /** For RoPE. */
  readonly positions: Uint32Array;
  /** How far each row's call reaches: its largest position + 1. */
  readonly reaches: Uint32Array;
  /** (rows) 1 where a row is padding, whose key nobody sees. */
  readonly padding?: Uint8Array;
  readonly wants: Wants;
}

export abstract class Sequence {
  /** Its keys and values. */
  abstract readonly pages: PageList;
  /** Sequences of a higher one come first; among equals the older. */
  readonly priority: number = 0;
  /** The scheduler's: when it came, and in how many steps on their way it is. */
  age = 0;
  posted = 0;

  /** Rows that could be computed now. */
  abstract get pending(): number;

  /** Whether they are a token that somebody waits for, not a prompt that is read. */
  get waiting(): boolean {
    return this.pending === 1;
  }

  /** Takes the next `count` rows of what is pending. */
  abstract take(count: number): TakenRows;

  /**
   * Called when the next `count` of the taken rows were computed, in order; what is pending then can be in the next step.
   * @returns whether that was all: the sequence leaves the scheduler
   */
  abstract done(count: number): boolean;

  abstract fail(error: unknown): void;

  /** Whether its keys can be computed again, from the first token on. */
  get restartable(): boolean {
    return false;
  }

  /** Called when its pages were given back: all of it is pending again. */
  restart(): void {}
}

/** Rows that are all known: a prompt, or the input of a forward call. */
export interface KnownRows {
  readonly tokens?: Int32Array;
  /** (rows, hidden) */
  readonly embeds?: Float32Array;
  /** For RoPE. */
  readonly positions: Uint32Array;
  /** The largest of them + 1. */
  readonly reach: number;
  /** (rows) 1 where a row is padding, whose key nobody sees. */
  readonly padding?: Uint8Array;
}

/** The largest position + 1. */
export const reachOf = (positions: Uint32Array): number => positions.reduce((most, p) => Math.max(most, p + 1), 0);

export const rowCount = ({ positions }: KnownRows): number => positions.length;

/** Rows [from, to). */
export function sliceRows(
  { tokens, embeds, positions, reach, padding }: KnownRows,
  from: number,
  to: number,
): Omit<TakenRows, "wants"> {
  const width = embeds ? embeds.length / positions.length : 0;
  return {
    tokens: tokens?.subarray(from, to) ?? new Int32Array(to - from),
    ...(embeds ? { embeds: embeds.subarray(from * width, to * width) } : {}),
    positions: positions.subarray(from, to),
    reaches: new Uint32Array(to - from).fill(reach),
    ...(padding ? { padding: padding.subarray(from, to) } : {}),
  };
}

/** The index of the last row that is no padding. */
export const lastToken = (rows: KnownRows): number => rows.padding?.lastIndexOf(0) ?? rowCount(rows) - 1;

/**
 * Rows [from, to) of a prompt and the tokens that follow it, each of which is a call of its own.
 * @param token_at - the i-th token behind the prompt
 */
export function rowsOf(
  prompt: KnownRows,
  from: number,
  to: number,
  token_at: (i: number) => number,
): Omit<TakenRows, "wants"> {
  const length = rowCount(prompt);
  if (to <= length) return sliceRows(prompt, from, to);
  const known = from < length ? sliceRows(prompt, from, length) : undefined;
  const tokens = new Int32Array(to - from);
  const positions = new Uint32Array(to - from);
  const reaches = new Uint32Array(to - from);
  if (known) {
    tokens.set(known.tokens);
    positions.set(known.positions);
    reaches.set(known.reaches);
  }
  const last = prompt.positions[length - 1];
  for (let i = Math.max(from, length); i < to; i++) {
    tokens[i - from] = token_at(i - length);
    positions[i - from] = last + 1 + i - length;
    reaches[i - from] = positions[i - from] + 1;
  }
  const { embeds, padding } = known ?? {};
  return { tokens, positions, reaches, ...(embeds ? { embeds } : {}), ...(padding ? { padding } : {}) };
}

/** A sequence whose rows are all known, read once from the first to the last. */
export class Reading extends Sequence {
  readonly pages: PageList;
  /** Settles when all rows were computed. */
  readonly finished: Promise<void>;
  private readonly rows: KnownRows;
  private readonly wants: (from: number, to: number) => Wants;
  private resolve!: () => void;
  private reject!: (error: unknown) => void;
  private taken = 0;
  private computed = 0;

  /** @param wants - what is wanted of rows [from, to), targets counted from there */
  constructor(pages: PageList, rows: KnownRows, wants: (from: number, to: number) => Wants) {
    super();
    this.pages = pages;
    this.rows = rows;
    this.wants = wants;
    this.finished = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.finished.catch(() => {}); // whoever waits for it hears of it
  }

  get pending(): number {
    return rowCount(this.rows) - this.taken;
  }

  take(count: number): TakenRows {
    const from = this.taken;
    this.taken += count;
    return { ...sliceRows(this.rows, from, this.taken), wants: this.wants(from, this.taken) };
  }

  done(count: number): boolean {
    this.computed += count;
    if (this.computed < rowCount(this.rows)) return false;
    this.resolve();
    return true;
  }

  fail(error: unknown): void {
    this.reject(error);
  }
}
