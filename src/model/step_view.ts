// A step as one thread sees it while it runs: its data, its buffers, where its rows are.
import {
  ATTENTION_ROWS,
  FEW_ROWS,
  type Lane,
  type RowBuffers,
  type RunState,
  type ThreadBuffers,
} from "../memory/layout.ts";
import type { AdapterRows } from "./lora_tasks.ts";
import { put, type Target, type Wants } from "./outputs.ts";
import type { PackedRows } from "./products.ts";
import type { SequenceRows, Step } from "./step.ts";
import type { BankView } from "./thread_memory.ts";

export class StepView {
  readonly step: Step;
  readonly rows: number;
  readonly pausable: boolean;
  readonly sequences: readonly SequenceRows[];
  /** Rows of queries that attention takes at a time: of a sequence, from its row `from` on. */
  readonly blocks: readonly { readonly sequence: SequenceRows; readonly from: number }[];
  readonly lane: Lane;
  /** Whether the rows are so few that every thread packs them for itself. */
  readonly few: boolean;
  /** Where normed and packed rows stand, and what the router said of them: the thread's own where they are few. */
  readonly buffers: RowBuffers;
  /** The thread's pairs of rows and experts. */
  readonly pairs: ThreadBuffers["pairs"][number];
  /** The rows that have adapters, one adapter after the other. */
  readonly adapters: readonly AdapterRows[];
  /** (rows) the sums that a row's squares are added to; undefined where no row has any. */
  readonly squares: readonly (Float64Array | undefined)[] | undefined;
  /** The bank that x is in now: that of the layer that runs. */
  home: BankView;

  constructor(step: Step, state: RunState, own: ThreadBuffers, adapters: readonly AdapterRows[], home: BankView) {
    this.step = step;
    this.adapters = adapters;
    this.rows = step.rows;
    this.pausable = step.pausable;
    this.sequences = step.sequences;
    this.blocks = step.sequences.flatMap((sequence) =>
      Array.from({ length: Math.ceil(sequence.rows / ATTENTION_ROWS) }, (_, i) => ({
        sequence,
        from: i * ATTENTION_ROWS,
      })),
    );
    this.lane = state.lanes[step.lane];
    this.few = step.rows <= FEW_ROWS;
    this.buffers = this.few ? own.few : this.lane;
    this.pairs = own.pairs[step.lane];
    this.squares = step.sequences.some(({ wants }) => wants.squares)
      ? step.sequences.flatMap(({ rows, wants }) => new Array<Float64Array | undefined>(rows).fill(wants.squares))
      : undefined;
    this.home = home;
  }

  /**
   * Copies what lies inside to where sequences want it.
   * @param own - rows [from, to) of the step: the thread's share
   * @param wanted - where a sequence wants it, if it does
   * @param values - what there is of a row of the step
   */
  capture(
    [from, to]: readonly [from: number, to: number],
    wanted: (wants: Wants) => Target | undefined,
    values: (row: number) => Float32Array,
  ): void {
    for (const { row, rows, wants } of this.sequences) {
      const target = wanted(wants);
      if (!target) continue;
      for (let r = Math.max(row, from); r < Math.min(row + rows, to); r++) put(target, r - row, values(r));
    }
  }

  /** The step's rows as inputs of products, packed in the step's own order. */
  packed(cols: number): PackedRows {
    return { region: this.buffers.packed, tile: 0, tokens: this.rows, cols };
  }
}
