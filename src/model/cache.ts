// The rolling cache as callers hold it: the rings of a batch of sequences, and how far each is filled.
import type { ModelShape } from "../config/shape.ts";
import { EngineError, InputError } from "../errors.ts";
import { decodeCache, encodeCache } from "./cache_file.ts";
import type { CachedSequence, CacheStore } from "./cache_store.ts";

/** What a cache needs of the engine that made it. */
export interface CacheOwner {
  readonly shape: ModelShape;
  readonly store: CacheStore;
  /** Writes a file; see `save`. */
  write_file(path: string, data: Uint8Array): Promise<void>;
}

/**
 * `past_key_values`: the keys and values of a batch of sequences, to be passed to the next call. A call that is given one
 * extends it in place. Its memory is the engine's until `dispose`.
 */
export class KeyValueCache {
  readonly sequences: CachedSequence[];
  /** Columns so far, padding included, as transformers counts. */
  private columns: number;
  private readonly owner: CacheOwner;
  /** An object, so that `release` can share it without holding the cache. */
  private readonly state = { disposed: false, incomplete: false, busy: false };

  constructor(owner: CacheOwner, sequences: CachedSequence[], columns = 0) {
    this.owner = owner;
    this.sequences = sequences;
    this.columns = columns;
  }

  /** Tokens seen so far in each row, padding included. */
  get_seq_length(): number {
    return this.columns;
  }

  /** Counts columns that a call has added. */
  advance(columns: number): void {
    this.columns += columns;
  }

  /** What `restore` needs to take back what a call that failed has added. */
  mark(): readonly number[] {
    return this.sequences.map(({ length }) => length);
  }

  /** Forgets what was added since `mark`. A ring that has rolled over meanwhile has lost keys: then the cache is of no more use. */
  restore(lengths: readonly number[]): void {
    for (const [row, sequence] of this.sequences.entries()) {
      if (sequence.length !== lengths[row] && sequence.length > sequence.ring.slots) this.state.incomplete = true;
      sequence.length = lengths[row];
    }
  }

  /**
   * @throws {@link EngineError} after `dispose`, of the model, too, or after a call that was cut off beyond repair
   * @throws {@link InputError} while a call extends the cache
   */
  check(): void {
    this.checkUsable();
    if (this.state.busy) throw new InputError("past_key_values: another call is extending this cache; fork it before");
  }

  private checkUsable(): void {
    if (this.state.incomplete)
      throw new EngineError("past_key_values: a call that was cut off has overwritten keys; make a new cache");
    if (this.state.disposed) throw new EngineError("past_key_values: this cache was disposed");
    if (this.owner.store.closed) throw new EngineError("past_key_values: the model was disposed");
  }

  /** Keeps every other call away, until the function that it gives is called. @throws as `check` */
  acquire(): () => void {
    this.check();
    const { state } = this;
    state.busy = true;
    return () => {
      state.busy = false;
      if (state.disposed) this.free();
    };
  }

  private free(): void {
    for (const { ring } of this.sequences) this.owner.store.free(ring);
  }

  /**
   * Forgets all but the first `length` tokens (a negative length counts from the end).
   * @throws {@link InputError} when the window has rolled over keys that the shorter sequence would need
   */
  crop(length: number): void {
    this.check();
    const target = length < 0 ? this.columns + length : length;
    if (!Number.isInteger(target) || target < 0)
      throw new InputError(`crop: expected a length up to ${this.columns}, found ${length}`);
    if (target >= this.columns) return;
    const drop = this.columns - target;
    for (const [row, { length: seen, ring }] of this.sequences.entries()) {
      if (drop > seen)
        throw new InputError(`crop: row ${row} has ${seen} tokens after its padding, cannot drop ${drop}`);
      if (seen > ring.slots) {
        throw new InputError(
          `crop: row ${row} has ${seen} tokens in a ring of ${ring.slots}, so the keys before were overwritten`,
        );
      }
    }
    for (const sequence of this.sequences) sequence.length -= drop;
    this.columns = target;
  }

  /** A copy that goes on by itself. */
  fork(): KeyValueCache {
    return this.repeat(1);
  }

  /** A copy with `times` copies of each row, one after the other. */
  repeat(times: number): KeyValueCache {
    this.check();
    const { store } = this.owner;
    const sequences: CachedSequence[] = [];
    try {
      for (const sequence of this.sequences) {
        for (let i = 0; i < times; i++) sequences.push({ ...sequence, ring: store.copy(sequence.ring) });
      }
    } catch (error) {
      for (const { ring } of sequences) store.free(ring);
      throw error;
    }
    return new KeyValueCache(this.owner, sequences, this.columns);
  }

  /** Writes the cache to a file that `model.load_cache` reads. @throws CheckpointError when it cannot be written */
  async save(path: string): Promise<void> {
    this.check();
    const { shape, store } = this.owner;
    await this.owner.write_file(path, encodeCache(shape, store, this.columns, this.sequences));
  }

  /** Reads what `save` wrote. @throws {@link InputError} when the file is no cache, or one of another model */
  static load(owner: CacheOwner, data: Uint8Array, path: string): KeyValueCache {
    const { columns, sequences } = decodeCache(owner.shape, owner.store, data, path);
    return new KeyValueCache(owner, sequences, columns);
  }

  /**
   * Makes room for `tokens` more in row `row`: a ring that neither holds them nor rolls is replaced by a larger one.
   * @param context - positions that a sequence may have at most
   * @throws {@link InputError} beyond the context
   */
  reserve(row: number, tokens: number, context: number): void {
    this.checkUsable();
    const { shape, store } = this.owner;
    const sequence = this.sequences[row];
    const needed = sequence.length + tokens;
    if (needed > context)
      throw new InputError(`row ${row}: ${needed} tokens were asked for, the context holds ${context}`);
    const { ring } = sequence;
    if (needed <= ring.slots || ring.slots === shape.window) return;
    sequence.ring = store.copy(ring, Math.max(needed, Math.min(2 * ring.slots, context)));
    store.free(ring);
  }

  /** Gives the memory back, at the end of a call that is extending it. Calling it twice is harmless. */
  dispose(): void {
    this.release()();
  }

  /** What `dispose` does, in a form that does not keep this object alive. */
  release(): () => void {
    const { state, sequences } = this;
    const { store } = this.owner;
    return () => {
      if (state.disposed) return;
      state.disposed = true;
      if (state.busy) return; // steps still write to it: freed at the call's end
      for (const { ring } of sequences) store.free(ring);
    };
  }

  /** Disposes it once nobody refers to it any more: for caches that a caller was given and may have forgotten. */
  disposeWhenForgotten(): void {
    forgotten.register(this, this.release());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const forgotten = new FinalizationRegistry<() => void>((free) => free());
