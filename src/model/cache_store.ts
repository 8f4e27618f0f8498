// The rolling cache of keys and values. Its memory is fixed when it is made: for each layer and KV head a ring of
// min(window, capacity) slots, slot = index mod slots, so position 131,071 costs what position 4,096 costs.
// Rings live in memories of their own, the cache banks.
import type { ModelShape } from "../config/shape.ts";
import { EngineError, MemoryError } from "../errors.ts";
import { alignUp, createBank, MAX_BANK_BYTES, WASM_PAGE } from "../memory/bank.ts";
import { Regions } from "../memory/regions.ts";
import { type KvType, kvTypes, type Ring } from "./step.ts";

/** A first cache bank holds at least this much, each further one twice the one before: few banks, no waste. */
const FIRST_BANK_BYTES = 1 << 26;

/** Bytes of one layer's part of a ring. */
export const layerBytes = (shape: ModelShape, slots: number, type: KvType): number =>
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
    const all_matrices = matrix ? alignUp(matrix.bytes * this.matrices!.threads, 64) : 0;
    const ring = { type, slots, banks: [] as number[], addresses: [] as number[], matrices: matrix };
    try {
      for (let layer = 0; layer < this.shape.layers; layer++) {
        // Layers in the same bank share their score matrices.
        const beside = (bank: number) => (ring.banks.includes(bank) ? 0 : all_matrices);
        const { bank, address, extra } = this.take(
          bytes,
          beside,
          alignUp(bytes, 64) * (this.shape.layers - layer) + all_matrices,
        );
        matrix?.addresses.push(extra ?? matrix.addresses[ring.banks.indexOf(bank)]);
        ring.banks.push(bank);
        ring.addresses.push(address);
        this.bytes += bytes;
      }
    } catch (error) {
      this.free(ring);
      throw error;
    }
    return ring;
  }

  /**
   * Takes `bytes` in some bank, and as many `extra` ones as are needed `beside` them there.
   * @param rest - bytes that the same ring will take, these included: a new bank has room for all of them
   */
  private take(
    bytes: number,
    beside: (bank: number) => number,
    rest: number,
  ): { bank: number; address: number; extra?: number } {
    const takeIn = (bank: number) => {
      const { regions } = this.banks[bank - this.firstIndex];
      const address = regions.take(bytes);
      const more = beside(bank);
      if (address === undefined || more === 0) return address === undefined ? undefined : { bank, address };
      const extra = regions.take(more);
      if (extra === undefined) regions.give(address, bytes);
      return extra === undefined ? undefined : { bank, address, extra };
    };
    for (let i = 0; i < this.banks.length; i++) {
      const taken = takeIn(this.firstIndex + i);
      if (taken) return taken;
    }
    const wanted = this.low + Math.max(rest, FIRST_BANK_BYTES * 2 ** this.banks.length);
    const size = Math.min(alignUp(wanted, WASM_PAGE), MAX_BANK_BYTES);
    const bank = this.firstIndex + this.banks.length;
    const needed = this.low + bytes + beside(bank);
    if (needed > size)
      throw new MemoryError(
        `a layer's cache and its score matrices need ${needed} bytes in one memory, of at most ${size}`,
        needed,
        size,
      );
    const memory = createBank(size, `a cache of ${rest} bytes`);
    this.banks.push({ memory, regions: new Regions(this.low, size, 64) });
    this.announce(bank, memory);
    return takeIn(bank)!;
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
