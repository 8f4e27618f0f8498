// logits.wasm as the host sees it: the typed twin of assembly/index.ts, and the part of the engine's memory it works in.
import { EngineError, MemoryError } from "../errors.ts";

/**
 * The exports of logits.wasm. `logits` is the address of f32 [n], changed in place; `ids` and `tokens` are addresses of
 * i32 lists, `scratch` of `scratch_bytes(n)` bytes, `state` of a generator's 16 bytes. Addresses of scratch are multiples
 * of 16, all others of 4 (states: of 8).
 */
export interface LogitsExports {
  scratch_bytes(n: number): number;
  // processors
  repetition_penalty(logits: number, n: number, ids: number, count: number, penalty: number, scratch: number): void;
  frequency_presence_penalty(
    logits: number,
    n: number,
    ids: number,
    count: number,
    frequency: number,
    presence: number,
    scratch: number,
  ): void;
  no_repeat_ngram(logits: number, n: number, ids: number, count: number, size: number): void;
  sequence_bias(
    logits: number,
    n: number,
    ids: number,
    count: number,
    table: number,
    entries: number,
    scratch: number,
  ): void;
  suppress(logits: number, n: number, tokens: number, count: number): void;
  force(logits: number, n: number, tokens: number, count: number): void;
  allow(logits: number, n: number, tokens: number, count: number, scratch: number): void;
  exponential_decay(logits: number, n: number, tokens: number, count: number, factor: number, steps: number): void;
  remove_invalid(logits: number, n: number): void;
  // warpers
  temperature(logits: number, n: number, value: number): void;
  top_k(logits: number, n: number, k: number, scratch: number): void;
  top_p(logits: number, n: number, p: number, keep: number, scratch: number): void;
  min_p(logits: number, n: number, p: number, keep: number, scratch: number): void;
  typical_p(logits: number, n: number, mass: number, keep: number, scratch: number): void;
  epsilon_cutoff(logits: number, n: number, epsilon: number, keep: number, scratch: number): void;
  eta_cutoff(logits: number, n: number, epsilon: number, keep: number, scratch: number): void;
  top_h(logits: number, n: number, share: number, scratch: number): void;
  // distributions and choices
  softmax(logits: number, n: number): void;
  log_softmax(logits: number, n: number, scratch: number): void;
  /** The first of the largest; -1 where any value is NaN. */
  argmax(logits: number, n: number): number;
  /** Ids of the k largest, largest first, the lowest id first among equals: i32 at `out`. Returns min(k, n), fewer where there are NaN. */
  top_n(logits: number, n: number, k: number, out: number, scratch: number): number;
  /** One id drawn from softmax(logits); -1 where there is no distribution. */
  draw(logits: number, n: number, state: number, scratch: number): number;
  seed_row(state: number, seed: bigint, row: number): void;
  uniform(state: number): number;
  pcg32_start(state: number, initial: bigint, stream: bigint): void;
  pcg32_next(state: number): number;
  splitmix64(seed: bigint, index: bigint): bigint;
}

/**
 * Instantiates logits.wasm on the engine's memory. It needs none of its own: no stack, no data.
 * @param memory - shared, of any size
 * @throws {@link EngineError} when the module does not fit the memory (unshared, or a module of another build)
 */
export function loadLogits(module: WebAssembly.Module, memory: WebAssembly.Memory): LogitsExports {
  try {
    return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as LogitsExports;
  } catch (cause) {
    throw new EngineError(`logits.wasm: ${(cause as Error).message}`, { cause });
  }
}

export interface WorkspaceSizes {
  vocab_size: number;
  /** Rows that have a generator. */
  rows: number;
  /** How many ids the lists of one call can have together, see `LogitsProcessorList.list_ids`. */
  ids: number;
  /** Length of the longest array of scores, where that is not vocab_size: beams are drawn from together. */
  span?: number;
}

const alignUp = (bytes: number) => Math.ceil(bytes / 16) * 16;

const scratchBytes = (exports: LogitsExports, sizes: WorkspaceSizes) =>
  alignUp(exports.scratch_bytes(Math.max(sizes.vocab_size, sizes.span ?? 0)));

/**
 * The part of the memory in which the logits of a generation are processed: scratch of the module, the generators'
 * states, and room for lists of ids, which are laid there for one call at a time.
 */
export class LogitsWorkspace {
  readonly exports: LogitsExports;
  readonly memory: WebAssembly.Memory;
  readonly vocab_size: number;
  readonly scratch: number;
  /** Address of generator states, 16 bytes each, one for each row. */
  readonly states: number;
  private readonly lists: number;
  private readonly end: number;
  private next: number;

  /** Bytes of memory that a workspace of these sizes needs. */
  static bytes(exports: LogitsExports, sizes: WorkspaceSizes): number {
    return scratchBytes(exports, sizes) + 16 * sizes.rows + alignUp(4 * sizes.ids);
  }

  /**
   * @param address - a multiple of 16, of the `bytes` that `LogitsWorkspace.bytes` told for the same sizes
   * @throws {@link EngineError} when the address is not aligned or the part does not lie in the memory
   */
  constructor(exports: LogitsExports, memory: WebAssembly.Memory, address: number, sizes: WorkspaceSizes) {
    const bytes = LogitsWorkspace.bytes(exports, sizes);
    if (address % 16 !== 0)
      throw new EngineError(`logits workspace: expected a multiple of 16, found address ${address}`);
    if (address + bytes > memory.buffer.byteLength) {
      throw new EngineError(
        `logits workspace: ${bytes} bytes at ${address} end beyond the memory's ${memory.buffer.byteLength}`,
      );
    }
    this.exports = exports;
    this.memory = memory;
    this.vocab_size = sizes.vocab_size;
    this.scratch = address;
    this.states = address + scratchBytes(exports, sizes);
    this.lists = this.states + 16 * sizes.rows;
    this.end = address + bytes;
    this.next = this.lists;
  }

  /** The scores at an address: a view of f32 [vocab_size * rows]. */
  view(address: number, rows = 1): Float32Array {
    return new Float32Array(this.memory.buffer, address, rows * this.vocab_size);
  }

  /** Forgets the lists of the call before. */
  clear(): void {
    this.next = this.lists;
  }

  /**
   * Lays a list of ids into the workspace until `clear`, and returns its address.
   * @throws {@link MemoryError} when it does not fit
   */
  put(ids: ArrayLike<number>): number {
    const address = this.next;
    const available = this.end - address;
    if (4 * ids.length > available)
      throw new MemoryError(
        `logits workspace: ${ids.length} ids need ${4 * ids.length} bytes, ${available} are left`,
        4 * ids.length,
        available,
      );
    new Int32Array(this.memory.buffer, address, ids.length).set(ids);
    this.next += 4 * ids.length;
    return address;
  }
}
