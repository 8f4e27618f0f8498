// Reads experts into their slots, as the team's first thread asks for them: a thread beside the team, until it is closed;
// or, where there are no threads, the first thread itself when it needs one.
import type { FileHandleRef, SyncFile, ThreadPlatform } from "../platform/platform.ts";
import { PagingTable, type PagingWords, type Part, PIECE_BYTES, type Read } from "./table.ts";

/** What is read for a matrix of an expert, its file by its place in the list, and where in a slot it goes. */
export interface ReadMatrix {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Bytes that there must be: the file may end before the others. */
  readonly least: number;
  readonly at: number;
  readonly part: Part;
}

/** Plain data: posted to the thread. */
export interface ReaderSetup {
  readonly type: "read";
  readonly words: PagingWords;
  readonly files: readonly FileHandleRef[];
  /** Whether to pass the system's cache by: all reads are whole sectors then. */
  readonly uncached: boolean;
  readonly matrices: readonly ReadMatrix[];
  readonly banks: readonly WebAssembly.Memory[];
  readonly slot_banks: readonly number[]; // (slot)
  readonly slot_addresses: readonly number[]; // (slot)
}

export class Reader {
  private readonly setup: ReaderSetup;
  private readonly table: PagingTable;
  private readonly files: readonly SyncFile[];
  private readonly views: readonly Uint8Array[];

  /** @throws CheckpointError when a file cannot be opened, or is another now */
  constructor(platform: ThreadPlatform, setup: ReaderSetup) {
    this.setup = setup;
    this.table = new PagingTable(setup.words);
    this.files = setup.files.map((ref) => platform.openSync(ref, setup.uncached));
    this.views = setup.banks.map(({ buffer }) => new Uint8Array(buffer));
  }

  /** Does one read, if one is asked for. @returns whether there was one @throws CheckpointError */
  readNext(): boolean {
    const read = this.table.takeNow();
    if (read) this.read(read);
    return !!read;
  }

  private read(read: Read): void {
    const { matrices, slot_banks, slot_addresses } = this.setup;
    const matrix = matrices[read.matrix];
    const from = read.piece * PIECE_BYTES;
    const length = Math.min(PIECE_BYTES, matrix.bytes - from);
    const target = slot_addresses[read.slot] + matrix.at + from;
    const into = this.views[slot_banks[read.slot]].subarray(target, target + length);
    this.files[matrix.file].read(matrix.offset + from, into, Math.min(length, matrix.least - from));
    this.table.done(read.slot, matrix.part);
  }

  /** Reads until the end. The thread does nothing else. */
  serve(): void {
    const { table } = this;
    try {
      for (let read = table.take(); read; read = table.take()) this.read(read);
    } catch (error) {
      table.fail(error as Error);
    } finally {
      for (const file of this.files) file.close();
    }
  }
}
