// The rolling cache of keys and values. Its memory is fixed when it is made: for each layer and KV head a ring of
// min(window, capacity) slots, slot = index mod slots, so position 131,071 costs what position 4,096 costs.
// Rings live in memories of their own, the cache banks.
import { parseJSONObject } from "../checkpoint/json.ts";
import type { ModelShape } from "../config/shape.ts";
import { show } from "../config/show.ts";
import { EngineError, InputError, MemoryError } from "../errors.ts";
import { alignUp, createBank, MAX_BANK_BYTES, WASM_PAGE } from "../memory/bank.ts";
import { Regions } from "../memory/regions.ts";
import { type KvType, kvTypes, type Ring } from "./step.ts";

/** A first cache bank holds at least this much, each further one twice the one before: few banks, no waste. */
const FIRST_BANK_BYTES = 1 << 26;

/** Bytes of one layer's part of a ring. */
const layerBytes = (shape: ModelShape, slots: number, type: KvType): number =>
  2 * shape.kv_heads * slots * shape.head_dim * kvTypes[type].bytes;

/** Bytes that a cache of `positions` positions takes, all layers. */
export function cacheBytes(shape: ModelShape, positions: number, type: KvType): number {
  return shape.layers * layerBytes(shape, ringSlots(shape, positions), type);
}

const ringSlots = (shape: ModelShape, positions: number): number =>
  Math.max(1, shape.window ? Math.min(shape.window, positions) : positions);

interface CacheBank {
  readonly memory: WebAssembly.Memory;
  readonly regions: Regions;
}

/** Makes and frees rings in the cache banks of one engine. */
export class CacheStore {
  private readonly shape: ModelShape;
  private readonly low: number;
  private readonly firstIndex: number;
  private readonly announce: (index: number, memory: WebAssembly.Memory) => void;
  private readonly matrices: { threads: number; bytes(slots: number): number } | undefined;
  private readonly banks: CacheBank[] = [];
  /** Bytes in rings now. */
  bytes = 0;
  /** Whether the engine is gone, and with it what the rings held. */
  closed = false;

  /**
   * @param low - bytes of the low region that every bank begins with
   * @param firstIndex - the index of the first cache bank among all banks
   * @param announce - tells the threads of a new bank
   * @param matrices - for eager attention: the bytes of one thread's score matrix for a ring of some slots
   */
  constructor(
    shape: ModelShape,
    low: number,
    firstIndex: number,
    announce: CacheStore["announce"],
    matrices?: { threads: number; bytes(slots: number): number },
  ) {
    this.matrices = matrices;
    this.shape = shape;
    this.low = low;
    this.firstIndex = firstIndex;
    this.announce = announce;
  }

  /**
   * A ring for `positions` positions (no more than the window of them are kept).
   * @throws {@link MemoryError} when a layer's part does not fit a bank or the runtime refuses a memory
   * @throws {@link EngineError} when the model was disposed
   */
  create(positions: number, type: KvType): Ring {
    if (this.closed) throw new EngineError("the model was disposed");
    const slots = ringSlots(this.shape, positions);
    const bytes = layerBytes(this.shape, slots, type);
    if (bytes > MAX_BANK_BYTES - this.low) {
      throw new MemoryError(
        `a cache of ${slots} positions needs ${bytes} bytes for each layer, of at most ${MAX_BANK_BYTES - this.low}`,
        bytes,
        MAX_BANK_BYTES - this.low,
      );
    }
    const matrix = this.matrices ? { bytes: this.matrices.bytes(slots), addresses: [] as number[] } : undefined;
    const all_matrices = matrix ? matrix.bytes * this.matrices!.threads : 0;
    const ring = { type, slots, banks: [] as number[], addresses: [] as number[], matrices: matrix };
    try {
      for (let layer = 0; layer < this.shape.layers; layer++) {
        const { bank, address } = this.take(bytes, bytes * (this.shape.layers - layer) + all_matrices);
        ring.banks.push(bank);
        ring.addresses.push(address);
        this.bytes += bytes;
        if (matrix) matrix.addresses.push(this.matrixIn(ring, layer, all_matrices));
      }
    } catch (error) {
      this.free(ring);
      throw error;
    }
    return ring;
  }

  /** Where a layer's score matrices are: layers in the same bank share them. */
  private matrixIn({ banks, matrices, slots }: Ring, layer: number, bytes: number): number {
    const sharing = banks.indexOf(banks[layer]);
    if (sharing < layer) return matrices!.addresses[sharing];
    const address = this.banks[banks[layer] - this.firstIndex].regions.take(bytes);
    if (address === undefined) {
      throw new MemoryError(
        `eager attention over ${slots} positions needs ${bytes} bytes beside the cache, in one memory`,
        bytes,
      );
    }
    return address;
  }

  private take(bytes: number, rest: number): { bank: number; address: number } {
    for (const [i, { regions }] of this.banks.entries()) {
      const address = regions.take(bytes);
      if (address !== undefined) return { bank: this.firstIndex + i, address };
    }
    const wanted = this.low + Math.max(rest, FIRST_BANK_BYTES * 2 ** this.banks.length);
    const size = Math.min(alignUp(wanted, WASM_PAGE), MAX_BANK_BYTES);
    const memory = createBank(size, `a cache of ${rest} bytes`);
    const regions = new Regions(this.low, size, 64);
    this.banks.push({ memory, regions });
    this.announce(this.firstIndex + this.banks.length - 1, memory);
    return { bank: this.firstIndex + this.banks.length - 1, address: regions.take(bytes)! };
  }

  /** Every memory that rings live in. */
  memories(): WebAssembly.Memory[] {
    return this.banks.map(({ memory }) => memory);
  }

  /** No ring can be made or used from now on. */
  close(): void {
    this.closed = true;
  }

  free(ring: Ring): void {
    const bytes = layerBytes(this.shape, ring.slots, ring.type);
    for (const [layer, bank] of ring.banks.entries()) {
      const { regions } = this.banks[bank - this.firstIndex];
      regions.give(ring.addresses[layer], bytes);
      this.bytes -= bytes;
      const matrix = ring.matrices?.addresses[layer];
      if (matrix !== undefined && ring.banks.indexOf(bank) === layer)
        regions.give(matrix, ring.matrices!.bytes * this.matrices!.threads);
    }
  }

  /** The bytes of one layer's part of a ring. */
  layer(ring: Ring, layer: number): Uint8Array {
    const { memory } = this.banks[ring.banks[layer] - this.firstIndex];
    return new Uint8Array(memory.buffer, ring.addresses[layer], layerBytes(this.shape, ring.slots, ring.type));
  }

  /**
   * A second ring with the same contents, for as many positions or for more.
   * A ring that has rolled over can only be copied as it is.
   */
  copy(ring: Ring, positions = ring.slots): Ring {
    const copy = this.create(positions, ring.type);
    const { kv_heads, head_dim, layers } = this.shape;
    const slot = head_dim * kvTypes[ring.type].bytes;
    for (let layer = 0; layer < layers; layer++) {
      const from = this.layer(ring, layer);
      const to = this.layer(copy, layer);
      // Keys and values of each head: the slots stand together.
      for (let part = 0; part < 2 * kv_heads; part++) {
        to.set(from.subarray(part * ring.slots * slot, (part + 1) * ring.slots * slot), part * copy.slots * slot);
      }
    }
    return copy;
  }
}

/** One row of a batch in a cache: its ring and how far it is filled. */
export interface CachedSequence {
  ring: Ring;
  /** Tokens that went in, padding not counted: the absolute index of the next. */
  length: number;
}

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

  /** Writes the cache to a file that `model.load_cache` reads. */
  async save(path: string): Promise<void> {
    this.check();
    const { shape, store } = this.owner;
    const header = { columns: this.columns, shape: cacheShape(shape), sequences: this.sequences.map(describeSequence) };
    const json = new TextEncoder().encode(JSON.stringify(header));
    const parts = this.sequences.flatMap(({ ring }) =>
      Array.from({ length: shape.layers }, (_, layer) => store.layer(ring, layer)),
    );
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    const data = new Uint8Array(CACHE_MAGIC.length + 4 + json.length + size);
    data.set(CACHE_MAGIC);
    new DataView(data.buffer).setUint32(CACHE_MAGIC.length, json.length, true);
    data.set(json, CACHE_MAGIC.length + 4);
    let at = CACHE_MAGIC.length + 4 + json.length;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    await this.owner.write_file(path, data);
  }

  /** Reads what `save` wrote. @throws {@link InputError} when the file is no cache, or one of another model */
  static load(owner: CacheOwner, data: Uint8Array, path: string): KeyValueCache {
    const bad = (what: string) => new InputError(`${path}: ${what}`);
    if (data.length < CACHE_MAGIC.length + 4 || CACHE_MAGIC.some((byte, i) => data[i] !== byte))
      throw bad("not a cache file");
    const length = new DataView(data.buffer, data.byteOffset).getUint32(CACHE_MAGIC.length, true);
    let at = CACHE_MAGIC.length + 4 + length;
    if (at > data.length) throw bad(`the header of ${length} bytes goes beyond the end`);
    const header = parseHeader(data.subarray(CACHE_MAGIC.length + 4, at), path);
    const { shape, store } = owner;
    const [expected, found] = [JSON.stringify(cacheShape(shape)), JSON.stringify(header.shape)];
    if (expected !== found) throw bad(`expected the cache of a model with ${expected}, found ${show(header.shape)}`);
    const { columns, rows } = checkHeader(header, shape, bad);
    const size = rows.reduce((sum, { slots, type }) => sum + shape.layers * layerBytes(shape, slots, type), 0);
    if (data.length - at !== size) throw bad(`expected ${size} bytes of keys and values, found ${data.length - at}`);
    const sequences: CachedSequence[] = [];
    try {
      for (const { type, length: seen, slots } of rows) {
        const ring = store.create(slots, type);
        sequences.push({ ring, length: seen });
        for (let layer = 0; layer < shape.layers; layer++) {
          const part = store.layer(ring, layer);
          part.set(data.subarray(at, at + part.length));
          at += part.length;
        }
      }
    } catch (error) {
      for (const { ring } of sequences) store.free(ring);
      throw error;
    }
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

const CACHE_MAGIC = new TextEncoder().encode("TRAMKV01");

const cacheShape = ({ layers, kv_heads, head_dim, window }: ModelShape) => ({ layers, kv_heads, head_dim, window });
const describeSequence = ({ ring, length }: CachedSequence) => ({ type: ring.type, slots: ring.slots, length });

function parseHeader(json: Uint8Array, path: string): Record<string, unknown> {
  try {
    return parseJSONObject(json, `${path}: header`);
  } catch (cause) {
    throw new InputError((cause as Error).message, { cause });
  }
}

/** What a header says of the rows, where it says what can be. */
function checkHeader(
  { columns, sequences }: Record<string, unknown>,
  shape: ModelShape,
  bad: (what: string) => InputError,
): { columns: number; rows: ReturnType<typeof describeSequence>[] } {
  const count = (value: unknown, most: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
  if (!count(columns, 2 ** 48)) throw bad(`columns: expected a count, found ${show(columns)}`);
  if (!Array.isArray(sequences)) throw bad(`sequences: expected a list, found ${show(sequences)}`);
  for (const [row, sequence] of sequences.entries()) {
    const { type, slots, length } = (sequence ?? {}) as Record<string, unknown>;
    if (typeof type !== "string" || !Object.hasOwn(kvTypes, type))
      throw bad(`row ${row}: expected a type of ${Object.keys(kvTypes).join(", ")}, found ${show(type)}`);
    if (!count(slots, shape.window || 2 ** 32) || slots === 0)
      throw bad(`row ${row}: expected slots from 1 to ${shape.window || 2 ** 32}, found ${show(slots)}`);
    // Only a ring as large as the window rolls.
    const most = slots === shape.window ? columns : Math.min(columns, slots);
    if (!count(length, most)) throw bad(`row ${row}: expected a length of at most ${most}, found ${show(length)}`);
  }
  return { columns, rows: sequences };
}
