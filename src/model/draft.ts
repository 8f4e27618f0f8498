// A step while it is put together: the rows of one sequence after the other, with the pages that they are stored in.
import type { PageCopy } from "./pages.ts";
import type { Rotary } from "./rotary.ts";
import type { Sequence, TakenRows } from "./sequence.ts";
import type { SequenceRows, Step } from "./step.ts";

/** Some rows of a sequence in a step. */
export interface DraftPart {
  readonly sequence: Sequence;
  readonly count: number;
}

export class Draft {
  readonly parts: DraftPart[] = [];
  rows = 0;
  private readonly taken: TakenRows[] = [];
  private readonly sequences: SequenceRows[] = [];
  private readonly pages: number[] = [];
  private readonly copies: PageCopy[] = [];
  private readonly rotary: Rotary;

  constructor(rotary: Rotary) {
    this.rotary = rotary;
  }

  /** Adds the next `count` rows of a sequence, for which the pool has pages. */
  add(sequence: Sequence, count: number): void {
    const list = sequence.pages;
    const first = list.length;
    const copy = list.append(count);
    if (copy) this.copies.push(copy);
    const taken = sequence.take(count);
    const { padding } = taken;
    if (padding) list.hide([...padding.keys()].filter((i) => padding[i]).map((i) => first + i));
    const pages_from = this.pages.length;
    this.pages.push(...list.pages);
    this.sequences.push({
      row: this.rows,
      rows: count,
      first,
      pages_from,
      pages_to: this.pages.length,
      first_block: list.first_block,
      hidden: list.hiddenBits(),
      ...(list.adapters.ids.length > 0 ? { adapters: list.adapters.ids } : {}),
      wants: taken.wants,
    });
    this.taken.push(taken);
    this.parts.push({ sequence, count });
    this.rows += count;
  }

  /** The step, as the threads get it. */
  finish(lane: 0 | 1, pausable: boolean): Step {
    const tokens = new Int32Array(this.rows);
    const positions = new Uint32Array(this.rows);
    const embeds: Step["embeds"][number][] = [];
    const frequencies: Step["frequencies"][number][] = [];
    for (const [i, { row }] of this.sequences.entries()) {
      const taken = this.taken[i];
      tokens.set(taken.tokens, row);
      positions.set(taken.positions, row);
      // A slice: the message would carry all that the view's memory holds.
      if (taken.embeds) embeds.push({ row, data: taken.embeds.slice() });
      this.addFrequencies(frequencies, row, taken.reaches);
    }
    const { rows, sequences } = this;
    const pages = Uint32Array.from(this.pages);
    return {
      lane,
      pausable,
      rows,
      tokens,
      embeds,
      positions,
      frequencies,
      sequences,
      pages,
      copies: Uint32Array.from(this.copies.flat()),
    };
  }

  /** Finds the rows, from row `first` on, that do not take the standard frequencies. */
  private addFrequencies(to: Step["frequencies"][number][], first: number, reaches: Uint32Array): void {
    const { rotary } = this;
    for (let r = 0; r < reaches.length; ) {
      const reach = reaches[r];
      let end = r + 1;
      while (end < reaches.length && reaches[end] === reach) end++;
      if (reach > rotary.limit) to.push({ row: first + r, rows: end - r, inv_freq: rotary.frequencies(reach) });
      r = end;
    }
  }
}
