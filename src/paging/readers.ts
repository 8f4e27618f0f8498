// The readers of experts as the host sees them: threads of their own, which the team never waits for at its barrier.
import type { Slot } from "../memory/plan.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { Team } from "../threads/team.ts";
import { type PagingLayout, piecesOf } from "./layout.ts";
import type { PagerSetup } from "./pager.ts";
import type { ReaderSetup } from "./reader.ts";
import { type PagingCounts, PagingTable, pagingWords } from "./table.ts";

/** Threads that read: a disk wants several requests at a time. */
export const READERS = 4;

/** What `model.info()` tells of experts on demand. */
export interface ExpertsInfo extends PagingCounts {
  /** What the experts may take, and those that are there do. */
  readonly budget_bytes: number;
  readonly resident_bytes: number;
}

export class Readers {
  readonly setup: PagerSetup;
  private readonly layout: PagingLayout;
  private readonly table: PagingTable;
  private team: Team<ReaderSetup, never, "serve", never> | undefined;

  /** @param threads - of the team @param width - experts of a layer at most */
  constructor(layout: PagingLayout, slots: readonly Slot[], threads: number, width: number) {
    const { experts, kept, spare, reserve, first } = layout;
    const places = experts.map((matrices) =>
      matrices.map((matrix) => ({ at: matrix.at, bytes: matrix.bytes, pieces: piecesOf(matrix) })),
    );
    const most = Math.max(...places.map((matrices) => matrices.reduce((sum, { pieces }) => sum + pieces, 0)));
    this.layout = layout;
    this.table = new PagingTable(pagingWords(experts.length, width, slots.length, most, threads));
    const slot_banks = slots.map(({ bank }) => bank);
    const slot_addresses = slots.map(({ address }) => address);
    this.setup = { words: this.table.words, kept, spare, reserve, first, places, slot_banks, slot_addresses };
  }

  /** What a reader is told. */
  readerSetup(banks: readonly WebAssembly.Memory[]): ReaderSetup {
    const files: SourceFile[] = [...new Set(this.layout.experts.flat().map(({ file }) => file))];
    const matrices = this.layout.experts.flat().map(({ file, read, least, part }) => {
      return { file: files.indexOf(file), ...read, least, part };
    });
    const { words, slot_banks, slot_addresses } = this.setup;
    const handles = files.map(({ handle }) => handle);
    const { uncached } = this.layout;
    return { type: "read", words, files: handles, uncached, matrices, banks, slot_banks, slot_addresses };
  }

  /**
   * Starts the threads that read.
   * @throws EngineError when a thread cannot start or open a file, the signal's reason when aborted
   */
  async start(platform: Platform, banks: readonly WebAssembly.Memory[], signal?: AbortSignal): Promise<void> {
    const setup = this.readerSetup(banks);
    this.team = await Team.start<ReaderSetup, never, "serve", never>(platform, READERS, setup, false, signal);
    this.team.notify("serve");
  }

  info(): ExpertsInfo {
    const { budget_bytes, experts } = this.layout;
    let resident_bytes = 0;
    for (const [expert, slot] of this.table.words.slot_of.entries())
      if (slot >= 0) for (const { bytes } of experts[expert]) resident_bytes += bytes;
    return { budget_bytes, resident_bytes, ...this.table.counts() };
  }

  async dispose(): Promise<void> {
    this.table.close();
    await this.team?.dispose();
  }
}
