// What adapters have to do beside one product: a task for each adapter and matrix, with the rows that it is about.
import type { BankedFactor, BankedPair, TeamAdapter } from "../memory/adapter_layout.ts";
import { alignUp } from "../memory/bank.ts";
import type { Outputs } from "./products.ts";
import type { BankView } from "./thread_memory.ts";

/** The rows of a step that have an adapter. */
export interface AdapterRows {
  readonly adapter: TeamAdapter;
  /** The adapter's own. */
  readonly bank: BankView;
  readonly rows: Uint32Array;
  /** (row of the step) whether it is one of them. */
  readonly has: Uint8Array;
}

/** Rows of activations: row t is f32 at `address + t · stride · 4` of a bank. */
export interface Rows extends Outputs {
  readonly bank: BankView;
}

/** What an adapter adds to some rows of one product. */
export interface LoraTask {
  readonly group: AdapterRows;
  /** The part of the product's units that it belongs to. */
  readonly part: number;
  /** Undefined where a whole matrix takes the place of the model's. */
  readonly a: BankedFactor | undefined;
  readonly b: BankedFactor;
  /** Columns of b. */
  readonly rank: number;
  readonly scale: number;
  /** Of its rows: which input is theirs, and which output. */
  readonly from: Uint32Array;
  readonly to: Uint32Array;
  /** What each is multiplied by beside. */
  readonly weights?: Float32Array;
  /** Where the packed inputs of b are. */
  readonly inner: number;
}

/** What most steps have. */
export const noTasks: readonly LoraTask[] = [];

/** Collects tasks, and gives each its room. */
export class LoraTasks {
  readonly list: LoraTask[] = [];
  private readonly lane: 0 | 1;
  private readonly used = new Map<TeamAdapter, number>();

  constructor(lane: 0 | 1) {
    this.lane = lane;
  }

  add(
    group: AdapterRows,
    pair: BankedPair | undefined,
    part: number,
    from: Uint32Array,
    to = from,
    weights?: Float32Array,
  ): void {
    if (pair && from.length > 0) this.push({ group, part, ...pair, from, to, weights });
  }

  /** @param cols - of the matrix, which takes the place of the model's */
  replace(group: AdapterRows, whole: BankedFactor, cols: number, rows: Uint32Array): void {
    if (rows.length > 0)
      this.push({ group, part: 0, a: undefined, b: whole, rank: cols, scale: 1, from: rows, to: rows });
  }

  private push(task: Omit<LoraTask, "inner">): void {
    const { adapter } = task.group;
    const inner = this.used.get(adapter) ?? adapter.inner[this.lane];
    this.list.push({ ...task, inner });
    this.used.set(adapter, inner + alignUp(task.from.length, 4) * alignUp(task.rank, 8) * 4);
  }
}
