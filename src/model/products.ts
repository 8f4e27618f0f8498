// The one way to multiply. Rows of activations are packed in the form that a weight's format reads, one by one while they
// are few, in tiles of 4 from TILE_FROM on; a product takes some rows of a matrix times all packed rows. Both forms give the
// same bits. Where a matrix stands is looked up when it is used.
import { type Dot, dots, type KernelInstance, packArgs, productArgs } from "../kernels/abi.ts";
import { ReadAheadChoice } from "../kernels/read_ahead.ts";
import { writeStruct } from "../kernels/structs.ts";
import { alignUp } from "../memory/bank.ts";
import { type Packings, type Region, STRIP, TILE_FROM } from "../memory/layout.ts";
import type { Linear, MatrixStack } from "../memory/linear.ts";
import { stackRowBytes } from "../memory/plan.ts";
import type { BlockFormat } from "../quant/formats.ts";
import type { Setup } from "./step.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

/** Where activations come one by one, a unit is this part of each thread's share of what is left; rows at least. */
const SHARES = 2;
const LEAST_ROWS = 64;

/** Divisions that are remembered: those of a model's layers are few, but batches come in all sizes. */
const MOST_DIVIDED = 256;

/** Rows [from, to) of one of some matrices. */
export interface Unit {
  readonly part: number;
  readonly from: number;
  readonly to: number;
}

/** What products count as they run. */
export interface Counter {
  bytes: number;
  macs: number;
}

/** Rows of activations, packed for products: `tokens` rows of `cols` columns, from tile `tile` of a region on. */
export interface PackedRows {
  readonly region: Region;
  readonly tile: number;
  readonly tokens: number;
  readonly cols: number;
  /** Of rows that are packed one by one: the first that is meant; 0 where absent. */
  readonly first?: number;
}

/** Where a product's outputs go: f32, row t at `address + t · stride · 4`, room for 3 rows more. */
export interface Outputs {
  readonly address: number;
  readonly stride: number;
}

/** Some rows of a matrix of floats. */
export interface SmallMatrix {
  readonly w: number;
  readonly format: BlockFormat;
  readonly rows: number;
  readonly cols: number;
}

export class Products {
  readonly counter: Counter = { bytes: 0, macs: 0 };
  readonly readAhead: ReadAheadChoice;
  /** What products of many rows gather with. */
  dot: Dot = dots.i16;
  private readonly memory: ThreadMemory;
  private readonly packings: Packings;
  private readonly threads: number;
  private readonly int8_threshold: number;
  /** Rows that a strip has room for. */
  private readonly strip_rows: number;
  private readonly divided = new Map<string, readonly Unit[]>();

  constructor(memory: ThreadMemory, { packings, state, choices, int8_threshold }: Setup, thread: number) {
    this.readAhead = new ReadAheadChoice(thread === 0 ? choices : undefined);
    this.memory = memory;
    this.packings = packings;
    this.threads = state.threads;
    this.int8_threshold = int8_threshold;
    this.strip_rows = state.lanes[0].rows + 3;
  }

  /**
   * The units of a phase of products: consecutive rows of one of some matrices, which a thread takes at a time. Where
   * activations come in tiles, a panel of the kernels'. Where they come one by one, a share of what is left: large pieces
   * first, for calls of 40 kB cost a fifth of a small model's speed, and small ones last, for which nobody waits long.
   * @param parts - rows of each matrix
   * @param multiple - of which a unit's rows are one; `tokens` outputs of each fit a strip
   */
  units(parts: readonly number[], tokens: number, multiple: number): readonly Unit[] {
    const key = `${tokens} ${multiple} ${parts.join()}`;
    let units = this.divided.get(key);
    if (!units) {
      units = this.divide(parts, tokens, multiple);
      if (this.divided.size >= MOST_DIVIDED) this.divided.clear();
      this.divided.set(key, units);
    }
    return units;
  }

  private divide(parts: readonly number[], tokens: number, multiple: number): Unit[] {
    const units: Unit[] = [];
    const tiled = tokens >= TILE_FROM;
    const most = Math.floor((this.strip_rows * STRIP) / tokens / multiple) * multiple;
    let left = parts.reduce((a, b) => a + b, 0);
    for (const [part, rows] of parts.entries()) {
      for (let from = 0; from < rows; ) {
        const share = alignUp(Math.max(left / (this.threads * SHARES), LEAST_ROWS), multiple);
        const size = tiled ? Math.max(64, multiple) : Math.min(share, most);
        const to = Math.min(from + size, rows);
        units.push({ part, from, to });
        left -= to - from;
        from = to;
      }
    }
    return units;
  }

  /** Floats between the outputs of two rows of activations in a strip, for a unit of some rows of a matrix. */
  stripStride({ from, to }: Unit, tokens: number): number {
    return tokens >= TILE_FROM ? STRIP : alignUp(to - from, 4);
  }

  /**
   * Packs columns [col0, col1) of rows [from, to) for products with matrix i of some linears, once for each packing among them
   * and each order of columns; where that is not their own, all columns.
   * @param bank - holds the rows, and gets the packed ones
   * @param x - row t is x + t · stride floats; in tiles `from` is a multiple of 4
   */
  pack(
    bank: BankView,
    linears: readonly Linear[],
    i: number,
    rows: PackedRows,
    x: number,
    stride: number,
    from: number,
    to: number,
    col0 = 0,
    col1 = rows.cols,
  ): void {
    if (from >= to) return;
    const { kernels } = bank;
    const { args } = this.memory.own;
    const { tokens, cols } = rows;
    let packed = -1;
    for (const { weights } of linears) {
      const packing = this.packing(kernels, weights.formats[i], tokens);
      const dst = this.addressOf(rows, packing, weights.copies[i]);
      // Nearly always the matrices of a call have one format, or two with one packing.
      if (dst === packed) continue;
      packed = dst;
      const threshold = this.int8_threshold;
      const range = { cols, col0, col1, from, to };
      const order = weights.orders[i];
      writeStruct(bank, args, packArgs, { kind: packing, x, stride, tokens, dst, threshold, order, ...range });
      kernels.pack(args);
    }
  }

  /**
   * Rows [from, to) of `linear · packed`: `out` has row `from` first.
   * @param i - which of the linear's matrices
   */
  multiply(linear: Linear, i: number, rows: PackedRows, from: number, to: number, out: Outputs): void {
    if (from >= to) return;
    const { weights } = linear;
    const bank = this.bankOf(weights, i);
    const { kernels } = bank;
    const format = weights.formats[i];
    const row_bytes = stackRowBytes(weights, i);
    const { args, scratch } = this.memory.own;
    const { tokens, cols } = rows;
    const bytes = (to - from) * row_bytes;
    const packing = this.packing(kernels, format, tokens);
    writeStruct(bank, args, productArgs, {
      w: weights.addresses[i] + from * row_bytes,
      x:
        this.addressOf(rows, packing, weights.copies[i]) +
        (rows.first ? rows.first * kernels.packed_bytes(packing, cols, 1) : 0),
      out: out.address,
      cols,
      rows: to - from,
      tokens,
      out_stride: out.stride,
      scratch,
      dot: this.dot,
    });
    this.counter.bytes += bytes;
    this.counter.macs += (to - from) * cols * tokens;
    const { matvec, matmul } = kernels.format(format);
    const word = args / 4 + productArgs.word.read_ahead;
    if (tokens >= TILE_FROM) {
      bank.u32[word] = this.readAhead.chosen(format.id) ?? 1;
      matmul(args);
    } else if (tokens > 1) {
      bank.u32[word] = this.readAhead.chosen(format.id) ?? 1;
      matvec(args);
    } else
      this.readAhead.run(format.id, bytes, (read_ahead) => {
        bank.u32[word] = read_ahead;
        matvec(args);
      });
  }

  /**
   * Products of a small matrix with packed rows, all in one bank.
   * @param x - packed by {@link packSmall}
   * @param scratch - matmul_scratch bytes
   */
  multiplySmall(
    bank: BankView,
    { w, format, rows, cols }: SmallMatrix,
    x: number,
    tokens: number,
    out: Outputs,
    scratch: number,
  ): void {
    const { args } = this.memory.own;
    const { kernels } = bank;
    writeStruct(bank, args, productArgs, {
      w,
      x,
      out: out.address,
      cols,
      rows,
      tokens,
      out_stride: out.stride,
      scratch,
      dot: this.dot,
      read_ahead: 0,
    });
    this.counter.bytes += rows * cols * format.block_bytes;
    this.counter.macs += rows * cols * tokens;
    const { matvec, matmul } = kernels.format(format);
    (tokens < TILE_FROM ? matvec : matmul)(args);
  }

  /** Packs rows [from, to) of `tokens` for {@link multiplySmall}. @param x - where row 0 would be */
  packSmall(
    bank: BankView,
    format: BlockFormat,
    tokens: number,
    cols: number,
    x: number,
    stride: number,
    dst: number,
    from: number,
    to: number,
  ): void {
    const { args } = this.memory.own;
    const kind = this.packing(bank.kernels, format, tokens);
    writeStruct(bank, args, packArgs, {
      ...{ kind, x, stride, tokens, dst, cols, col0: 0, col1: cols, from, to },
      ...{ threshold: 0, order: 0 },
    });
    bank.kernels.pack(args);
  }

  /** The bank that matrix i of a stack is in now. */
  bankOf(weights: MatrixStack, i: number): BankView {
    return this.memory.banks[weights.banks[i]];
  }

  private packing(kernels: KernelInstance, format: BlockFormat, tokens: number): number {
    return tokens < TILE_FROM ? kernels.vec_kind(format.id) : kernels.tile_kind(format.id);
  }

  private addressOf({ region, tile, tokens }: PackedRows, packing: number, copy: number): number {
    const { vec, tile: tiled } = this.packings;
    const part = tokens < TILE_FROM ? vec.indexOf(packing) : vec.length + tiled.indexOf(packing);
    return region.address + (copy * (vec.length + tiled.length) + part) * region.bytes + tile * region.tile_bytes;
  }
}
