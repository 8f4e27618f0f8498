// A thread beside the team that reads experts into their slots: what the team's first thread asks for, until it is closed.
import type { FileHandleRef, SyncFile, ThreadPlatform } from "../platform/platform.ts";
import { PagingTable, type PagingWords, type Part, PIECE_BYTES } from "./table.ts";

/** A matrix of an expert, its file by its place in the list. */
export interface ReadMatrix {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  /** Where in a slot it stands. */
  readonly at: number;
  readonly part: Part;
}

/** Plain data: posted to the thread. */
export interface ReaderSetup {
  readonly type: "read";
  readonly words: PagingWords;
  readonly files: readonly FileHandleRef[];
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
    this.files = setup.files.map((ref) => platform.openSync(ref));
    this.views = setup.banks.map(({ buffer }) => new Uint8Array(buffer));
  }

  /** Reads until the end. The thread does nothing else. */
  serve(): void {
    const { table, files, views } = this;
    const { matrices, slot_banks, slot_addresses } = this.setup;
    try {
      for (let read = table.take(); read; read = table.take()) {
        const { file, offset, bytes, at, part } = matrices[read.matrix];
        const from = read.piece * PIECE_BYTES;
        const target = slot_addresses[read.slot] + at;
        const end = Math.min(from + PIECE_BYTES, bytes);
        files[file].read(offset + from, views[slot_banks[read.slot]].subarray(target + from, target + end));
        table.done(read.slot, part);
      }
    } catch (error) {
      table.fail(error as Error);
    } finally {
      for (const file of files) file.close();
    }
  }
}
