// One thread's view of the banks, and the matrix product in its two forms: packed tokens one by one while they are few,
// in tiles of 4 from TILE_FROM on. Both give the same bits.
import { type Dot, dots, instantiate, type KernelInstance } from "../kernels/abi.ts";
import { alignUp } from "../memory/bank.ts";
import {
  type PackKinds,
  type Region,
  type RunState,
  STRIP,
  type ThreadState,
  TILE_FROM,
  threadState,
} from "../memory/layout.ts";
import type { Placed } from "../memory/plan.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { Counter } from "./phases.ts";
import type { Setup } from "./step.ts";

/** Where tokens come one by one, a product is split into this many units for each thread. */
const UNITS_PER_THREAD = 4;

/** A bank as a thread uses it: its own kernel instance, and views of all bytes. */
export interface BankView {
  readonly kernels: KernelInstance;
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
  readonly u8: Uint8Array;
}

export class ThreadMemory {
  readonly banks: BankView[] = [];
  readonly state: RunState;
  readonly own: ThreadState;
  /** What products have read and multiplied. */
  readonly counter = new Counter();
  /** What products of many tokens gather with. */
  dot: Dot = dots.i16;
  private readonly kinds: PackKinds;
  private readonly module: WebAssembly.Module;

  constructor(setup: Setup, thread: number) {
    this.module = setup.module;
    this.state = setup.state;
    this.kinds = setup.kinds;
    const probe = instantiate(setup.module, setup.banks[0], 0);
    this.own = threadState(setup.shape, probe, setup.state, thread);
    for (const [index, memory] of setup.banks.entries()) this.addBank(index, memory);
  }

  addBank(index: number, memory: WebAssembly.Memory): void {
    this.banks[index] = {
      kernels: instantiate(this.module, memory, this.own.stack_top),
      f32: new Float32Array(memory.buffer),
      u32: new Uint32Array(memory.buffer),
      u8: new Uint8Array(memory.buffer),
    };
  }

  /** Copies `count` floats at the same address of another bank; nothing where the banks are one. */
  carry(from: BankView, to: BankView, address: number, count: number): void {
    if (from !== to) this.copy(from, address, to, address, count);
  }

  copy(from: BankView, source: number, to: BankView, target: number, count: number): void {
    to.f32.set(from.f32.subarray(source / 4, source / 4 + count), target / 4);
  }

  /**
   * Rows of products that a thread takes at a time: a panel of the kernels' where tokens come in tiles. Where they come one
   * by one, a few units a thread: calls of 40 kB cost a fifth of a small model's speed, and the last to finish is waited for.
   * @param multiple - of which the result is one; @returns rows of which `tokens` outputs fit a strip buffer
   */
  unitRows(rows: number, tokens: number, multiple: number): number {
    if (tokens >= TILE_FROM) return Math.max(64, multiple);
    const even = alignUp(Math.ceil(rows / (this.state.threads * UNITS_PER_THREAD)), multiple);
    const most = Math.floor(((this.state.rows + 3) * STRIP) / tokens / multiple) * multiple;
    return Math.min(even, most);
  }

  /** Floats between the outputs of two tokens in a strip buffer for units of some rows. */
  stripStride(unit_rows: number, tokens: number): number {
    return tokens >= TILE_FROM ? STRIP : alignUp(unit_rows, 4);
  }

  /** Where a region holds the activations that products with `format` read. */
  part(region: Region, kernels: KernelInstance, format: BlockFormat, tokens: number): number {
    const { vec, tile } = this.kinds;
    const index =
      tokens < TILE_FROM
        ? vec.indexOf(kernels.vec_kind(format.id))
        : vec.length + tile.indexOf(kernels.tile_kind(format.id));
    return region.address + index * region.bytes;
  }

  /** The formats among some matrices that need packed copies of their own in the form that `tokens` tokens take. */
  packings(kernels: KernelInstance, matrices: readonly Placed[], tokens: number): BlockFormat[] {
    const kind = tokens < TILE_FROM ? kernels.vec_kind : kernels.tile_kind;
    const formats = new Map(matrices.map(({ format }) => [kind(format.id), format]));
    return [...formats.values()];
  }

  /**
   * Rows [from, to) of a product: out[t · out_stride + r − from] for each of the tokens packed at `packed`.
   * @param out - f32, room for 3 tokens more, of which the last tile writes
   */
  product(
    bank: BankView,
    matrix: Placed,
    from: number,
    to: number,
    packed: number,
    tokens: number,
    out: number,
    out_stride: number,
  ): void {
    if (from >= to) return;
    const { kernels } = bank;
    const { matvec, matmul } = kernels.format(matrix.format);
    const w = matrix.address + from * matrix.row_bytes;
    this.counter.bytes += (to - from) * matrix.row_bytes;
    this.counter.macs += (to - from) * matrix.cols * tokens;
    if (tokens < TILE_FROM) {
      const bytes = kernels.vec_bytes(kernels.vec_kind(matrix.format.id), matrix.cols);
      for (let t = 0; t < tokens; t++) matvec(w, packed + t * bytes, out + t * out_stride * 4, matrix.cols, to - from);
    } else matmul(w, packed, out, matrix.cols, to - from, tokens, out_stride, this.own.scratch, this.dot);
  }

  /**
   * Packs columns [col0, col1) of token rows [from, to) of `tokens`: row t is x + t · stride floats.
   * In tile form `from` is a multiple of 4.
   */
  pack(
    bank: BankView,
    format: BlockFormat,
    region: number,
    x: number,
    stride: number,
    tokens: number,
    cols: number,
    from: number,
    to: number,
    col0 = 0,
    col1 = cols,
  ): void {
    if (from >= to) return;
    const { kernels } = bank;
    if (tokens < TILE_FROM) {
      const kind = kernels.vec_kind(format.id);
      const bytes = kernels.vec_bytes(kind, cols);
      for (let t = from; t < to; t++) kernels.pack_vec(kind, x + t * stride * 4, region + t * bytes, cols, col0, col1);
    } else {
      const kind = kernels.tile_kind(format.id);
      kernels.pack_tile(kind, x, stride, 0, tokens, region, cols, col0, col1, from / 4, Math.ceil(to / 4));
    }
  }
}
