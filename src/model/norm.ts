// Norms of a step's rows, and what is added to them.
import { addRowsArgs } from "../kernels/abi.ts";
import { writeStruct } from "../kernels/structs.ts";
import type { StepView } from "./step_view.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

export class Norm {
  private readonly memory: ThreadMemory;
  private readonly hidden: number;
  private readonly eps: number;
  /** Whether this thread is the one that brings few rows from bank to bank for all. */
  private readonly first: boolean;

  constructor(memory: ThreadMemory, hidden: number, eps: number, thread: number) {
    this.memory = memory;
    this.hidden = hidden;
    this.eps = eps;
    this.first = thread === 0;
  }

  /**
   * xn = RMSNorm(x) for rows [from, to), in `bank`, to which x comes along where it is in another.
   * @param weight - f32 (hidden), in `bank`
   */
  into(view: StepView, bank: BankView, weight: number, from: number, to: number): BankView {
    const { memory, hidden, eps } = this;
    const { lane, buffers, home } = view;
    const offset = from * hidden * 4;
    const count = (to - from) * hidden;
    let x = lane.x + offset;
    if (home !== bank && view.few) {
      // Others read x, too: it goes to the bank once, and for the norm to a place of the thread's own.
      if (this.first) memory.copyToBank(home, bank, x, count);
      memory.copy(home, x, bank, memory.own.staged, count);
      x = memory.own.staged;
    } else memory.copyToBank(home, bank, x, count);
    bank.kernels.rms_norm(x, weight, buffers.xn + offset, to - from, hidden, eps);
    return bank;
  }

  /** Adds rows of `src` to rows of `dst`, see cpp/kernels.h: by `index` and times `scale` where those are given. */
  addRows(
    bank: BankView,
    dst: number,
    index: number,
    src: number,
    src_stride: number,
    scale: number,
    tokens: number,
    cols: number,
  ): void {
    const { args } = this.memory.own;
    const dst_stride = this.hidden;
    writeStruct(bank, args, addRowsArgs, { dst, dst_stride, index, src, src_stride, scale, tokens, cols });
    bank.kernels.add_rows(args);
  }
}
