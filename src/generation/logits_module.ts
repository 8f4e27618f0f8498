// The part of the engine's memory in which logits.wasm works for a generation.
import { EngineError, MemoryError } from "../errors.ts";
import type { LogitsExports } from "../kernels/logits.ts";
import { alignUp } from "../memory/bank.ts";

export interface WorkspaceSizes {
  vocab_size: number;
  /** Rows that have a generator. */
  rows: number;
  /** How many ids the lists of one call can have together, see `LogitsProcessorList.list_ids`. */
  ids: number;
  /** Length of the longest array of scores, where that is not vocab_size: beams are drawn from together. */
  span?: number;
}

const scratchBytes = (exports: LogitsExports, sizes: WorkspaceSizes) =>
  alignUp(exports.scratch_bytes(Math.max(sizes.vocab_size, sizes.span ?? 0)), 16);

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
    return scratchBytes(exports, sizes) + 16 * sizes.rows + alignUp(4 * sizes.ids, 16);
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
