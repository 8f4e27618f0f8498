// Experts on demand as a thread of the team has them: which of them a step takes at once, and waiting for those that are
// still being read.
import type { BankedLayer } from "../memory/plan.ts";
import type { Reader } from "./reader.ts";
import { Residency, type ResidencySetup } from "./residency.ts";
import { DOWN, PagingTable, type PagingWords, type Part, UP } from "./table.ts";

/** What every thread is told. Plain data. */
export interface PagerSetup extends ResidencySetup {
  readonly words: PagingWords;
  readonly spare: number;
  readonly reserve: number;
}

/** From so many picks on for each expert of a layer a step takes it that the next layer's are all wanted. */
const PICKS_OF_ALL = 4;

export class Pager {
  private readonly setup: PagerSetup;
  private readonly table: PagingTable;
  /** The first thread's. */
  private readonly residency: Residency | undefined;
  private readonly waitFor: (slot: number, part: Part) => void;
  private readonly reads_ahead: boolean;

  /**
   * @param check - throws where the team has failed
   * @param reader - where no other thread reads: then nothing is read ahead, which would be waited for as well
   */
  constructor(setup: PagerSetup, layers: readonly BankedLayer[], thread: number, check: () => void, reader?: Reader) {
    this.setup = setup;
    this.table = new PagingTable(setup.words);
    this.reads_ahead = !reader;
    const read = reader && (() => reader.readNext());
    this.waitFor = (slot, part) => this.table.wait(slot, part, thread, check, read);
    const wait = (slot: number) => {
      for (const part of [UP, DOWN] as const) this.waitFor(slot, part);
    };
    this.residency = thread === 0 ? new Residency(setup, layers, this.table, wait) : undefined;
  }

  /**
   * Divides what a step wants of a layer into parts that there are slots for at once; where it is more than one, the next is
   * read while the one before is computed. A part's experts are ascending, and so are the parts.
   */
  waves<T>(lane: 0 | 1, layer: number, wanted: readonly T[]): (readonly T[])[] {
    const { kept, spare, reserve } = this.setup;
    const most = lane === 0 ? kept[layer] + spare - reserve : reserve;
    if (wanted.length <= most) return [wanted];
    const size = Math.max(1, Math.floor(most / 2));
    const waves: T[][] = [];
    for (let at = 0; at < wanted.length; at += size) waves.push(wanted.slice(at, at + size));
    return waves;
  }

  /**
   * Wants a wave's experts, and those of the waves after it; where a step has many rows, the next layer's as well. For the
   * first thread: the others must not go on before.
   * @param picks - of all rows of the step
   */
  want(lane: 0 | 1, layer: number, now: readonly number[], after: readonly number[], picks: number): void {
    this.residency?.want(lane, layer, now, this.reads_ahead ? this.later(layer, after, picks) : []);
  }

  private *later(layer: number, after: readonly number[], picks: number): Generator<number, void, void> {
    const { first, places } = this.setup;
    for (const expert of after) yield first[layer] + expert;
    if (layer + 1 === first.length) return;
    const end = first[layer + 2] ?? places.length;
    if (picks < PICKS_OF_ALL * (end - first[layer + 1])) return;
    for (let expert = first[layer + 1]; expert < end; expert++) yield expert;
  }

  /** A wave in the order in which its experts are begun: what is there is computed while the rest is read. */
  turns<T extends { readonly expert: number }>(lane: 0 | 1, wave: readonly T[]): readonly T[] {
    const { late } = this.table.words;
    const isLate = ({ expert }: T) => late[lane * (late.length / 2) + expert] !== 0;
    return [...wave.filter((one) => !isLate(one)), ...wave.filter(isLate)];
  }

  /** Returns when an expert's w1 and w3, or its w2, are there. @throws an error when they cannot be read */
  wait(layer: number, expert: number, part: Part): void {
    const slot = this.table.words.slot_of[this.setup.first[layer] + expert];
    this.waitFor(slot, part);
  }
}
