// What adapters do to a step: y += scale · B (A x) in f32, for the rows of those sequences that have one. Products with A
// are a phase of their own, before the one of the weights that they stand beside; those with B come behind each unit of it.
// A row's adapters are added in ascending order of their numbers, so that its bits depend on nobody else's.
import { addRowsArgs } from "../kernels/abi.ts";
import { writeStruct } from "../kernels/structs.ts";
import {
  ADAPTER_ROWS,
  type AdapterState,
  type AdapterThreadBuffers,
  type BankedFactor,
  type BankedPair,
  type TeamAdapter,
} from "../memory/adapter_layout.ts";
import { alignUp } from "../memory/bank.ts";
import { rowBytes } from "../quant/formats.ts";
import type { AdapterRows, LoraTask, Rows } from "./lora_tasks.ts";
import type { PhasedStep, Phases } from "./phases.ts";
import type { Products, Unit } from "./products.ts";
import type { Setup, Step } from "./step.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

const noRows: readonly AdapterRows[] = [];

export class Lora {
  private readonly memory: ThreadMemory;
  private readonly products: Products;
  private readonly phases: Phases;
  private readonly state: AdapterState;
  private readonly own: AdapterThreadBuffers;
  private readonly adapters = new Map<number, { readonly adapter: TeamAdapter; readonly bank: BankView }>();
  private readonly banks = new Map<number, BankView>();

  constructor(memory: ThreadMemory, products: Products, phases: Phases, { adapters }: Setup) {
    this.memory = memory;
    this.products = products;
    this.phases = phases;
    this.state = adapters;
    this.own = adapters.own[phases.thread];
  }

  add(adapter: TeamAdapter, memory: WebAssembly.Memory): void {
    let bank = this.banks.get(adapter.bank);
    if (!bank) this.banks.set(adapter.bank, (bank = this.memory.view(memory)));
    this.adapters.set(adapter.id, { adapter, bank });
  }

  forget(id: number | undefined, gone_bank: number | undefined): void {
    if (id !== undefined) this.adapters.delete(id);
    if (gone_bank !== undefined) this.banks.delete(gone_bank);
  }

  /** The rows of each adapter of a step, in ascending order of the adapters' numbers. */
  rowsOf({ sequences, rows }: Step): readonly AdapterRows[] {
    if (!sequences.some(({ adapters }) => adapters)) return noRows;
    const ids = new Set(sequences.flatMap(({ adapters }) => adapters ?? []));
    return [...ids]
      .sort((a, b) => a - b)
      .map((id) => {
        const has = new Uint8Array(rows);
        for (const { adapters, row, rows: count } of sequences)
          if (adapters?.includes(id)) has.fill(1, row, row + count);
        return { ...this.adapters.get(id)!, has, rows: Uint32Array.from(has.keys()).filter((row) => has[row]) };
      });
  }

  /** Products with A of all tasks (one at least), or what a whole matrix is multiplied by, packed; split by rows. */
  *inner(
    step: PhasedStep,
    layer: number,
    tasks: readonly LoraTask[],
    cols: number,
    source: (task: LoraTask) => Rows,
  ): Generator<void, void, void> {
    const units = tasks.flatMap((task) =>
      Array.from({ length: Math.ceil(task.from.length / ADAPTER_ROWS) }, (_, i) => ({ task, first: i * ADAPTER_ROWS })),
    );
    yield* this.phases.units(step, "adapters", layer, units.length, (unit) => {
      const { task, first } = units[unit];
      this.innerRows(task, first, Math.min(first + ADAPTER_ROWS, task.from.length), cols, source(task));
    });
  }

  private innerRows(task: LoraTask, first: number, end: number, cols: number, source: Rows): void {
    const { memory, own } = this;
    const { bank } = task.group;
    for (let t = first; t < end; t++)
      memory.copy(
        source.bank,
        source.address + task.from[t] * source.stride * 4,
        bank,
        own.staged + (t - first) * cols * 4,
        cols,
      );
    const { a, b, rank, inner, scale } = task;
    const stride = a ? this.multiplyA(bank, { a, rank, scale }, end - first, cols) : cols;
    const rows = (a ? own.inner : own.staged) - first * stride * 4;
    this.products.packSmall(bank, b.format, task.from.length, rank, rows, stride, inner, first, end);
  }

  /** scale · A x of some staged rows, in the thread's own buffer. @returns floats from one row to the next */
  private multiplyA(
    bank: BankView,
    { a, rank, scale }: { a: BankedFactor; rank: number; scale: number },
    tokens: number,
    cols: number,
  ): number {
    const { products, own } = this;
    const stride = alignUp(rank, 4);
    products.packSmall(bank, a.format, tokens, cols, own.staged, cols, own.packed, 0, tokens);
    const matrix = { w: a.address, format: a.format, rows: rank, cols };
    products.multiplySmall(bank, matrix, own.packed, tokens, { address: own.inner, stride }, own.scratch);
    scaleBy(scale, this.memory.floats(bank, own.inner, tokens * stride));
    return stride;
  }

  /**
   * Adds what tasks of a unit's part give to its outputs, or puts it in their place.
   * @param out - where column 0 of row 0 is
   * @param stride - floats between rows of a strip that holds the unit
   */
  outer(tasks: readonly LoraTask[], { part, from, to }: Unit, stride: number, out: Rows): void {
    const { memory, products, own } = this;
    const { strip, strip3, added } = memory.own;
    for (const task of tasks) {
      if (task.part !== part) continue;
      const { b, rank, weights, to: rows } = task;
      const { bank } = task.group;
      const matrix = { w: b.address + from * rowBytes(b.format, rank), format: b.format, rows: to - from, cols: rank };
      products.multiplySmall(bank, matrix, task.inner, rows.length, { address: strip, stride }, own.scratch);
      if (!task.a) {
        for (const [t, row] of rows.entries())
          memory.copy(bank, strip + t * stride * 4, out.bank, out.address + (row * out.stride + from) * 4, to - from);
        continue;
      }
      memory.copy(bank, strip, out.bank, strip3, rows.length * stride);
      out.bank.u32.set(rows, added.rows / 4);
      if (weights) out.bank.f32.set(weights, added.weights / 4);
      writeStruct(out.bank, memory.own.args, addRowsArgs, {
        dst: out.address + from * 4,
        dst_stride: out.stride,
        index: added.rows,
        src: strip3,
        src_stride: stride,
        scale: weights ? added.weights : 0,
        tokens: rows.length,
        cols: to - from,
      });
      out.bank.kernels.add_rows(memory.own.args);
    }
  }

  /** Adds to one row of a small product all that an adapter gives. @param out - f32 (rows) */
  row({ bank }: AdapterRows, pair: BankedPair, source: Rows, cols: number, out: Rows, rows: number): void {
    const { memory, own } = this;
    memory.copy(source.bank, source.address, bank, own.staged, cols);
    this.multiplyA(bank, pair, 1, cols);
    this.addRow(bank, pair, out, rows);
  }

  /** Adds B times what stands in the thread's own buffer. */
  private addRow(bank: BankView, { b, rank }: BankedPair, out: Rows, rows: number): void {
    const { memory, products, own } = this;
    products.packSmall(bank, b.format, 1, rank, own.inner, rank, own.packed, 0, 1);
    const matrix = { w: b.address, format: b.format, rows, cols: rank };
    products.multiplySmall(bank, matrix, own.packed, 1, { address: own.staged, stride: rows }, own.scratch);
    const values = memory.floats(bank, own.staged, rows);
    const to = memory.floats(out.bank, out.address, rows);
    for (let i = 0; i < rows; i++) to[i] += values[i];
  }

  /** The embedding of a token whose row is in place: another one, where the adapter has it. */
  embedWhole({ adapter, bank }: AdapterRows, token: number, out: Rows, hidden: number): void {
    const whole = adapter.whole_embed_tokens;
    if (!whole) return;
    const { staged } = this.own;
    bank.kernels
      .format(whole.format)
      .dequantize(whole.address + token * rowBytes(whole.format, hidden), staged, hidden);
    this.memory.copy(bank, staged, out.bank, out.address, hidden);
  }

  /** What is added to it. */
  embed({ adapter, bank }: AdapterRows, token: number, out: Rows, hidden: number): void {
    const pair = adapter.embed_tokens;
    if (!pair) return;
    const { a, rank, scale } = pair;
    const { inner } = this.own;
    bank.kernels.format(a.format).dequantize(a.address + token * rowBytes(a.format, rank), inner, rank);
    scaleBy(scale, this.memory.floats(bank, inner, rank));
    this.addRow(bank, pair, out, hidden);
  }

  /** The gated products of an expert's rows in a group's bank, by pair. */
  gated({ bank }: AdapterRows, lane: 0 | 1, intermediate: number): Rows {
    return { bank, address: this.state.gated[lane], stride: intermediate };
  }
}

function scaleBy(scale: number, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] *= scale;
}
