// A cache as callers hold it: the pages of a batch of sequences, and how far each is filled.
import { textArgument } from "../arguments.ts";
import { shownInOneLine } from "../inspected.ts";
import type { KvPool } from "../memory/kv_pool.ts";
import { type AdapterSet, checkAdapters, sameAdapters } from "./adapter_set.ts";
import { type CacheStanding, checkStanding, isCroppable, tokensToDrop } from "./cache_rules.ts";
import { PageList } from "./pages.ts";

/** What a cache needs of the engine that made it. */
export interface CacheOwner {
  readonly pool: KvPool;
  /** Keys that a query sees at most; 0: all. */
  readonly window: number;
  /** Writes a cache to a file. */
  save(path: string, columns: number, rows: readonly PageList[]): Promise<void>;
}

/** A row of a cache at some time. */
export type RowMark = Pick<PageList, "length" | "hidden_slots">;

/**
 * `past_key_values`: the keys and values of a batch of sequences, to be passed to the next call. A call that is given one
 * extends it in place. Its memory is the engine's until `dispose`.
 */
export class KeyValueCache {
  /** @internal (row) What the parts of this library work on. */
  readonly rows: readonly PageList[];
  /** Columns so far, padding included, as transformers counts. */
  private columns: number;
  private readonly owner: CacheOwner;
  private readonly state: CacheState;

  /** @internal */
  constructor(owner: CacheOwner, rows: readonly PageList[], columns = 0) {
    this.owner = owner;
    this.rows = rows;
    this.columns = columns;
    this.state = new CacheState(rows, owner.pool);
  }

  /** @internal An empty cache of `rows` sequences. */
  static empty(owner: CacheOwner, rows: number): KeyValueCache {
    return new KeyValueCache(
      owner,
      Array.from({ length: rows }, () => new PageList(owner.pool, owner.window)),
    );
  }

  /** Tokens seen so far in each row, padding included. */
  get_seq_length(): number {
    return this.columns;
  }

  /** @internal Counts columns that a call has added. */
  advance(columns: number): void {
    this.columns += columns;
  }

  /** @internal What `restore` needs to take back what a call that failed has added. */
  mark(): readonly RowMark[] {
    return this.rows.map(({ length, hidden_slots }) => ({ length, hidden_slots }));
  }

  /** @internal Forgets what was added since `mark`. Pages that a window has passed meanwhile are gone: then the cache is of no more use. */
  restore(marks: readonly RowMark[]): void {
    this.keep(marks.map(({ length }) => length));
    for (const [i, row] of this.rows.entries()) row.hidden_slots = marks[i].hidden_slots;
  }

  /** @internal Forgets of each row what lies beyond a length. */
  keep(lengths: readonly number[]): void {
    if (this.owner.pool.closed) return;
    for (const [i, row] of this.rows.entries()) {
      if (lengths[i] < Math.min(row.least, row.length)) this.state.incomplete = true;
      else if (row.length > lengths[i]) row.truncate(lengths[i]);
    }
  }

  /** @internal Columns before the first slot of a row: padding that was never stored. */
  dropped(row: number): number {
    return this.columns - this.rows[row].length;
  }

  /** @internal Whether each row's keys were computed with the adapters that it is to have. */
  suits(adapters: readonly AdapterSet[]): boolean {
    return this.rows.every((row, i) => row.length === 0 || sameAdapters(row.adapters.marks, adapters[i].marks));
  }

  /** @internal Says what the rows have from now on. @throws InputError when keys that are there were computed with others */
  adapt(adapters: readonly AdapterSet[]): void {
    for (const [i, row] of this.rows.entries())
      if (row.length > 0) checkAdapters(i, row.adapters.marks, adapters[i].marks);
    for (const [i, row] of this.rows.entries()) row.adapters = adapters[i];
  }

  /** @internal Whether the cache is kept by this engine: it lies in its memory, and means nothing to any other. */
  isOf(owner: CacheOwner): boolean {
    return this.owner === owner;
  }

  /**
   * @internal
   * @throws EngineError after `dispose`, of the model, too, or after a call that was cut off beyond repair
   * @throws InputError while a call extends the cache
   */
  check(): void {
    checkStanding(this.standing);
  }

  private get standing(): CacheStanding {
    const { incomplete, disposed, busy } = this.state;
    return { incomplete, disposed, busy, closed: this.owner.pool.closed };
  }

  /** @internal Whether a call was cut off beyond repair. */
  get incomplete(): boolean {
    return this.state.incomplete;
  }

  /** @internal Keeps every other call away, until the function that it gives is called. @throws as `check` */
  acquire(): () => void {
    this.check();
    const { state } = this;
    state.busy = true;
    return () => state.leave();
  }

  /** @internal Whether `crop` takes a length. */
  croppable(length: number): boolean {
    return isCroppable(this.standing, this.rows, this.columns - length);
  }

  /**
   * Forgets all but the first `length` tokens (a negative length counts from the end). Behind a window only the last
   * tokens can be taken back, always 128 of them.
   * @throws InputError when pages that the shorter sequence would need were given back
   */
  crop(length: number): void {
    this.check();
    const drop = tokensToDrop(this.columns, this.rows, length);
    if (drop === 0) return;
    for (const row of this.rows) row.truncate(Math.max(0, row.length - drop));
    this.columns -= drop;
  }

  /** A second cache that goes on by itself; what both have in common is stored once. */
  fork(): KeyValueCache {
    this.check();
    const rows = this.rows.map((row) => row.fork());
    return new KeyValueCache(this.owner, rows, this.columns).disposeWhenForgotten();
  }

  /** Writes the cache to a file that `model.load_cache` reads. @throws WriteError when it cannot be written */
  async save(path: string): Promise<void> {
    textArgument(path, "save: path");
    const leave = this.acquire();
    try {
      await this.owner.save(path, this.columns, this.rows);
    } finally {
      leave();
    }
  }

  /** Gives the memory back, at the end of a call that is extending it. Calling it twice is harmless. */
  dispose(): void {
    this.state.dispose();
  }

  /** @internal Disposes it once nobody refers to it any more: for caches that a caller was given and may have forgotten. */
  disposeWhenForgotten(): this {
    forgotten.register(this, this.state);
    return this;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What outlives a cache that was forgotten: its pages, to be given back. */
class CacheState {
  incomplete = false;
  busy = false;
  disposed = false;
  private readonly rows: readonly PageList[];
  private readonly pool: KvPool;

  constructor(rows: readonly PageList[], pool: KvPool) {
    this.rows = rows;
    this.pool = pool;
  }

  leave(): void {
    this.busy = false;
    if (this.disposed) this.release();
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    if (!this.busy) this.release(); // else steps still write to it: at the call's end
  }

  private release(): void {
    if (!this.pool.closed) for (const row of this.rows) row.release();
  }
}

const forgotten = new FinalizationRegistry<CacheState>((state) => state.dispose());

shownInOneLine(
  KeyValueCache,
  (cache) => `KeyValueCache { ${cache.rows.length} rows of ${cache.get_seq_length()} tokens }`,
);
