// A thread beside the team that reads experts into their slots: what the team's first thread asks for, until it is closed.
import { instantiate, type KernelInstance, STACK_BYTES, stackTop } from "../kernels/abi.ts";
import { createMemory, WASM_PAGE } from "../kernels/memory.ts";
import { isRepacked, repack } from "../memory/repack.ts";
import type { FileHandleRef, SyncFile, ThreadPlatform } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { PagingTable, type PagingWords, type Part, PIECE_BYTES } from "./table.ts";

/** A matrix of an expert, its file by its place in the list. */
export interface ReadMatrix {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where in a slot it stands. */
  readonly at: number;
  /** That it has there. */
  readonly format: BlockFormat;
  readonly part: Part;
}

/** Plain data: posted to the thread. */
export interface ReaderSetup {
  readonly type: "read";
  readonly kernels: WebAssembly.Module;
  readonly words: PagingWords;
  readonly files: readonly FileHandleRef[];
  readonly matrices: readonly ReadMatrix[];
  readonly banks: readonly WebAssembly.Memory[];
  readonly slot_banks: readonly number[]; // (slot)
  readonly slot_addresses: readonly number[]; // (slot)
}

/** Behind the kernels' data and a stack. */
const PIECE_AT = 4 * STACK_BYTES;

export class Reader {
  private readonly setup: ReaderSetup;
  private readonly table: PagingTable;
  private readonly files: readonly SyncFile[];
  private readonly views: readonly Uint8Array[];
  /** Where pieces are repacked on their way: a memory of its own, for the banks' stacks are the team's. */
  private readonly kernels: KernelInstance;
  private readonly piece: Uint8Array;

  /** @throws CheckpointError when a file cannot be opened, or is another now */
  constructor(platform: ThreadPlatform, setup: ReaderSetup) {
    this.setup = setup;
    this.table = new PagingTable(setup.words);
    this.files = setup.files.map((ref) => platform.openSync(ref));
    this.views = setup.banks.map(({ buffer }) => new Uint8Array(buffer));
    const memory = createMemory(Math.ceil((PIECE_AT + PIECE_BYTES) / WASM_PAGE), "a memory to repack in");
    this.kernels = instantiate(setup.kernels, memory, stackTop(0));
    this.piece = new Uint8Array(memory.buffer, PIECE_AT, PIECE_BYTES);
  }

  /** Reads until the end. The thread does nothing else. */
  serve(): void {
    const { table, views } = this;
    const { matrices, slot_banks, slot_addresses } = this.setup;
    try {
      for (let read = table.take(); read; read = table.take()) {
        const matrix = matrices[read.matrix];
        const from = read.piece * PIECE_BYTES;
        const target = slot_addresses[read.slot] + matrix.at;
        const end = Math.min(from + PIECE_BYTES, matrix.bytes);
        this.read(matrix, from, views[slot_banks[read.slot]].subarray(target + from, target + end));
        table.done(read.slot, matrix.part);
      }
    } catch (error) {
      table.fail(error as Error);
    } finally {
      for (const file of this.files) file.close();
    }
  }

  /** Bytes from `from` on of a matrix, as memory has them. */
  private read({ file, offset, format }: ReadMatrix, from: number, into: Uint8Array): void {
    const repacked = isRepacked(format);
    const piece = repacked ? this.piece.subarray(0, into.length) : into;
    this.files[file].read(offset + from, piece);
    if (!repacked) return;
    repack(this.kernels, format, PIECE_AT, into.length);
    into.set(piece);
  }
}
