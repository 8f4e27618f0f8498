// W' = W + scale · B A, some rows of W at a time, in f32 by the kernels that the engine multiplies with.
import { instantiate, type KernelInstance, packArgs, productArgs } from "../kernels/abi.ts";
import { createMemory, WASM_PAGE } from "../kernels/memory.ts";
import { writeStruct } from "../kernels/structs.ts";
import { type FileFormat, formats, rowBytes } from "../quant/formats.ts";
import { narrow } from "../quant/narrow.ts";
import type { Factor, LowRank } from "./adapter.ts";
import { copyFactor, readTensor, transpose } from "./factor.ts";
import type { Change, MergedTensor } from "./merge_plan.ts";

/** Values of W that are worked on at once. */
const MOST_VALUES = 2 ** 20;

/** The stack of an instance that has a memory to itself, above whatever constants a module has; and what comes after it. */
const STACK_TOP = 16 * WASM_PAGE;
const ARGS = STACK_TOP;
const START = STACK_TOP + 4096;

const align = (n: number): number => Math.ceil(n / 64) * 64;

/** A product that is to be added, its factors in f32. */
interface ReadPair {
  readonly left: Float32Array; // (rows, rank), scaled
  readonly right: Float32Array; // (cols, rank)
  readonly rank: number;
}

/** A tensor's values in a format, with what adapters make of them, in pieces. */
export class Merger {
  private readonly module: WebAssembly.Module;
  private memory: WebAssembly.Memory | undefined;
  private kernels: KernelInstance | undefined;

  /** @param module - the kernels */
  constructor(module: WebAssembly.Module) {
    this.module = module;
  }

  /** The bytes of a tensor as it is to be written. */
  async *bytes({ from, changes }: MergedTensor, to: FileFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const cols = from.shape.at(-1) ?? 1;
    const row_bytes = rowBytes(from.format, cols);
    const rows = from.bytes / row_bytes;
    const step = Math.max(1, Math.floor(MOST_VALUES / cols));
    for (let row = 0; row < rows; ) {
      const change = changes.find(({ first_row, rows }) => row < first_row + rows);
      const inside = change && row >= change.first_row ? change : undefined;
      const end = inside ? inside.first_row + inside.rows : (change?.first_row ?? rows);
      const read = inside ? await this.read(inside) : undefined;
      for (; row < end; row += step) {
        signal?.throwIfAborted();
        const count = Math.min(step, end - row);
        const raw = new Uint8Array(count * row_bytes);
        await from.file.read(from.offset + row * row_bytes, raw);
        if (!inside && to === from.format) {
          yield raw;
          continue;
        }
        this.fit(cols, count, inside);
        const first = row - (inside?.first_row ?? 0);
        const values = read?.whole
          ? read.whole.subarray(first * cols, (first + count) * cols).slice()
          : this.decode(raw, from.format, count * cols);
        for (const pair of read?.pairs ?? []) this.add(values, pair, first, count, cols);
        yield narrow(values, to);
      }
      row = end;
    }
  }

  /** What a change needs, in f32. */
  private async read({ added, whole, row_of }: Change): Promise<{ pairs: ReadPair[]; whole?: Float32Array }> {
    const pairs: ReadPair[] = [];
    for (const { a, b, rank, scale } of added) {
      const left = await this.values(b, row_of);
      for (let i = 0; i < left.length; i++) left[i] *= scale;
      pairs.push({ left, right: await this.values(transpose(a)), rank });
    }
    return { pairs, ...(whole ? { whole: await this.values(whole) } : {}) };
  }

  private async values(factor: Factor, row_of?: (row: number) => number): Promise<Float32Array<ArrayBuffer>> {
    const { rows, cols, tensor } = factor;
    const stored = new ArrayBuffer(rows * cols * tensor.format.block_bytes);
    copyFactor(factor, await readTensor(factor), stored, 0, row_of);
    const values = new Float32Array(rows * cols);
    for (let at = 0; at < values.length; at += MOST_VALUES) {
      const count = Math.min(MOST_VALUES, values.length - at);
      const { block_bytes } = tensor.format;
      this.grow(2 * MOST_VALUES * 4);
      values.set(this.decode(new Uint8Array(stored, at * block_bytes, count * block_bytes), tensor.format, count), at);
    }
    return values;
  }

  /** Has a memory of so many bytes behind the arguments. */
  private grow(bytes: number): KernelInstance {
    const pages = Math.ceil((START + bytes) / WASM_PAGE);
    if (!this.memory || this.memory.buffer.byteLength < pages * WASM_PAGE) {
      this.memory = createMemory(pages, "merging");
      this.kernels = instantiate(this.module, this.memory, STACK_TOP);
    }
    return this.kernels!;
  }

  private fit(cols: number, count: number, change: Change | undefined): void {
    const rank = Math.max(1, ...(change?.added ?? []).map((one: LowRank) => one.rank));
    const kernels = this.grow(2 * MOST_VALUES * 4);
    this.grow(
      align(kernels.matmul_scratch(rank)) +
        align(cols * rank * 4) +
        align(count * rank * 4) +
        align(kernels.packed_bytes(kernels.tile_kind(formats.F32.id), rank, count)) +
        align((count + 3) * (cols + 3) * 4) +
        2 * MOST_VALUES * 4,
    );
  }

  /** Values of plain floats as f32. */
  private decode(raw: Uint8Array, format: FileFormat, count: number): Float32Array<ArrayBuffer> {
    const { buffer } = this.memory!;
    const out = START + MOST_VALUES * 4;
    const values = new Float32Array(count);
    for (let at = 0; at < count; at += MOST_VALUES) {
      const some = Math.min(MOST_VALUES, count - at);
      new Uint8Array(buffer, START).set(raw.subarray(at * format.block_bytes, (at + some) * format.block_bytes));
      this.kernels!.format(format).dequantize(START, out, some);
      values.set(new Float32Array(buffer, out, some), at);
    }
    return values;
  }

  /** values[t] += left[first + t] · rightᵀ */
  private add(values: Float32Array, { left, right, rank }: ReadPair, first: number, count: number, cols: number): void {
    const kernels = this.kernels!;
    const { buffer } = this.memory!;
    const views = { u32: new Uint32Array(buffer), f32: new Float32Array(buffer) };
    let next = START;
    const take = (bytes: number) => {
      const at = next;
      next = align(next + bytes);
      return at;
    };
    const kind = kernels.tile_kind(formats.F32.id);
    const scratch = take(kernels.matmul_scratch(rank));
    const w = take(right.length * 4);
    const x = take(count * rank * 4);
    const packed = take(kernels.packed_bytes(kind, rank, count));
    const stride = Math.ceil(cols / 4) * 4;
    const out = take((count + 3) * stride * 4);
    views.f32.set(right, w / 4);
    views.f32.set(left.subarray(first * rank, (first + count) * rank), x / 4);
    const all = {
      kind,
      x,
      stride: rank,
      tokens: count,
      dst: packed,
      cols: rank,
      col0: 0,
      col1: rank,
      from: 0,
      to: count,
      threshold: 0,
      order: 0,
    };
    writeStruct(views, ARGS, packArgs, all);
    kernels.pack(ARGS);
    const product = { w, x: packed, out, cols: rank, rows: cols, tokens: count, out_stride: stride, scratch };
    writeStruct(views, ARGS, productArgs, { ...product, dot: 0, read_ahead: 0 });
    kernels.format(formats.F32).matmul(ARGS);
    for (let t = 0; t < count; t++) {
      const from = out / 4 + t * stride;
      for (let c = 0; c < cols; c++) values[t * cols + c] += views.f32[from + c];
    }
  }
}
