// Sequences in a cache of pages, for the tests of attention: pages are handed out in a shuffled order, and whatever was
// not stored, was released, or belongs to another head, holds NaN.
import * as assert from "uvu/assert";
import { attentionArgs } from "../../src/kernels/abi.ts";
import { writeStruct } from "../../src/kernels/structs.ts";
import type { Kernels } from "./harness.ts";
import { uniform } from "./random.ts";

export const kvTypes = { f32: 0, f16: 1, q8_0: 2 } as const;
export type KvType = keyof typeof kvTypes;

export interface Shape {
  group: number;
  head_dim: number;
  window: number; // 0: none
  type: KvType;
}

/** Rows of one KV head and its group: q (rows, group, head_dim), k and v (rows, head_dim). */
export interface Rows {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
}

export interface Way {
  /** The row ranges of the calls that attend, by default one. */
  parts?: number;
  eager?: boolean;
  interleaved?: boolean;
  /** Keys of the sequence, by absolute index, that are hidden. */
  hidden?: ReadonlySet<number>;
  /** (rows, head_dim) of rope_table; by default all angles are 0, so q and k are taken as they are. */
  tables?: Float32Array;
}

export interface ChunkResult {
  out: Float32Array; // (rows, group, head_dim)
  rotated: Float32Array; // the same of the queries
  /** (row, head of the group) the weight of each key from the sequence's first on; of an eager way alone. */
  probabilities: Float32Array[];
}

const PAGE = 64; // positions
const HEADS = 2; // KV heads of a page
const HEAD = 1; // the one that is used
const GAP = 64; // bytes between pages

/** All pages of one kernel's memory; making one frees what stood there before. */
export class Pool {
  readonly kernel: Kernels;
  readonly shape: Shape;
  readonly rowBytes: number;
  readonly pageBytes: number;
  readonly base: number;
  private readonly pages: number;
  private readonly free: number[];

  constructor(kernel: Kernels, shape: Shape, pages: number) {
    this.kernel = kernel;
    this.shape = shape;
    this.pages = pages;
    kernel.reset();
    this.rowBytes = kernel.fn.kv_row_bytes(shape.head_dim, kvTypes[shape.type]);
    this.pageBytes = 2 * HEADS * PAGE * this.rowBytes + GAP;
    this.base = kernel.alloc(pages * this.pageBytes);
    kernel.u8(this.base, pages * this.pageBytes).fill(255);
    const random = uniform(pages);
    this.free = Array.from({ length: pages }, (_, page) => ({ page, key: random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ page }) => page);
  }

  take(): number {
    return this.free.shift()!;
  }

  release(page: number): void {
    this.kernel.u8(this.base + page * this.pageBytes, this.pageBytes).fill(255);
    this.free.unshift(page);
  }

  /** Address of the head's keys or values in a page. */
  at(part: "keys" | "values", page: number, head = HEAD): number {
    return this.base + page * this.pageBytes + ((part === "keys" ? 0 : HEADS) + head) * PAGE * this.rowBytes;
  }

  checkUntouched(): void {
    const bytes = PAGE * this.rowBytes;
    for (let page = 0; page < this.pages; page++)
      for (const [at, length] of [
        [this.at("keys", page, 0), bytes],
        [this.at("values", page, 0), bytes],
        [this.base + (page + 1) * this.pageBytes - GAP, GAP],
      ])
        assert.ok(
          this.kernel.u8(at, length).every((b) => b === 255),
          "wrote beside the head's rows",
        );
  }
}

/** One sequence's pages, and the kernels on them. */
export class PagedSequence {
  length = 0;
  private readonly pool: Pool;
  private readonly pages: number[] = [];
  private firstBlock = 0;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** Another sequence with the same beginning: whole pages are shared. */
  fork(): PagedSequence {
    assert.is(this.length % PAGE, 0);
    const other = new PagedSequence(this.pool);
    other.pages.push(...this.pages);
    other.firstBlock = this.firstBlock;
    other.length = this.length;
    return other;
  }

  /** The first key that the query at absolute index p sees. */
  private firstSeen(p: number): number {
    const { window } = this.pool.shape;
    return window ? Math.max(0, p - window + 1) : 0;
  }

  /** Releases what the next row does not see; takes pages for `rows` more. */
  private turnPages(rows: number): void {
    const seen = this.firstSeen(this.length);
    for (; (this.firstBlock + 1) * PAGE <= seen && this.pages.length > 0; this.firstBlock++)
      this.pool.release(this.pages.shift()!);
    while ((this.firstBlock + this.pages.length) * PAGE < this.length + rows) this.pages.push(this.pool.take());
  }

  /** The bytes of a stored row. */
  row(part: "keys" | "values", position: number): Uint8Array {
    const { kernel, rowBytes } = this.pool;
    const page = this.pages[Math.floor(position / PAGE) - this.firstBlock];
    return kernel.u8(this.pool.at(part, page) + (position % PAGE) * rowBytes, rowBytes).slice();
  }

  /** Stores the rows behind those that are there, then attends. Of many calls the outputs replace the queries. */
  chunk({ q, k, v }: Rows, { parts = 1, eager = false, interleaved = false, hidden, tables }: Way = {}): ChunkResult {
    const { pool } = this;
    const { kernel, shape } = pool;
    const { group, head_dim, window, type } = shape;
    const rows = k.length / head_dim;
    const width = group * head_dim;
    const q_stride = Math.ceil(width / 4) * 4 + 4;
    const kv_stride = head_dim + 3;
    const first = this.length;
    this.turnPages(rows);
    this.length += rows;

    const mark = kernel.alloc(0);
    const guards: number[] = [];
    const guarded = (bytes: number): number => {
      const at = kernel.alloc(bytes + 64);
      kernel.u8(at + bytes, 64).fill(0xa5);
      guards.push(at + bytes);
      return at;
    };
    const strided = (values: Float32Array, from: number, stride: number): number => {
      const at = guarded(4 * rows * stride);
      const to = kernel.f32(at, rows * stride).fill(-77);
      for (let i = 0; i < rows; i++) to.set(values.subarray(i * from, (i + 1) * from), i * stride);
      return at;
    };
    /** The rows of a buffer laid out as q, whose gaps must be as they were. */
    const dense = (at: number): Float32Array => {
      const out = new Float32Array(rows * width);
      for (let i = 0; i < rows; i++) {
        const row = kernel.f32(at + 4 * i * q_stride, q_stride);
        out.set(row.subarray(0, width), i * width);
        assert.ok(
          row.subarray(width).every((x) => x === -77),
          "wrote beside a row",
        );
      }
      return out;
    };

    const identity = Float32Array.from({ length: rows * head_dim }, (_, i) => +(i % head_dim < head_dim >> 1));
    const queries = strided(q, width, q_stride);
    const rotated = strided(new Float32Array(rows * width), width, q_stride);
    const out = parts > 1 ? queries : strided(new Float32Array(rows * width), width, q_stride);
    const pages = kernel.put(Uint32Array.from(this.pages));
    const bits = new Uint32Array(2 * this.pages.length);
    for (const key of hidden ?? []) {
      const bit = key - this.firstBlock * PAGE;
      if (bit >= 0 && bit < 32 * bits.length) bits[bit >> 5] |= 1 << (bit & 31);
    }
    const args = kernel.alloc(attentionArgs.bytes);
    const views = { u32: new Uint32Array(kernel.memory.buffer), f32: new Float32Array(kernel.memory.buffer) };
    writeStruct(views, args, attentionArgs, {
      q: queries,
      k: strided(k, head_dim, kv_stride),
      v: strided(v, head_dim, kv_stride),
      table: kernel.put(tables ?? identity),
      rotated,
      out,
      keys: pool.at("keys", 0),
      values: pool.at("values", 0),
      pages,
      page_bytes: pool.pageBytes,
      first_block: this.firstBlock,
      hidden: hidden ? kernel.put(bits) : 0,
      q_stride,
      kv_stride,
      group,
      head_dim,
      interleaved: +interleaved,
      first,
      window,
      type: kvTypes[type],
      scale: head_dim ** -0.5,
      scratch: guarded(kernel.fn.attention_scratch(group, head_dim)),
    });

    const probabilities: Float32Array[] = [];
    const range = (part: number) => [Math.floor((rows * part) / parts), Math.floor((rows * (part + 1)) / parts)];
    for (let part = 0; part < parts; part++) {
      const [row0, row1] = range(part);
      writeStruct(views, args, attentionArgs, { row0, row1 });
      kernel.fn.attention_store(args);
    }
    // Backwards: nothing of a part may depend on another's.
    for (let part = parts - 1; part >= 0; part--) {
      const [row0, row1] = range(part);
      writeStruct(views, args, attentionArgs, { row0, row1 });
      if (!eager) {
        kernel.fn.attention(args);
        continue;
      }
      const keys = first + row1 - this.firstSeen(first + row0);
      const matrix = guarded(kernel.fn.attention_matrix(group, row1 - row0, keys));
      writeStruct(views, args, attentionArgs, { matrix });
      kernel.fn.attention_eager(args);
      probabilities.unshift(...this.matrixRows(matrix, first + row0, row1 - row0));
    }
    for (const at of guards)
      assert.ok(
        kernel.u8(at, 64).every((b) => b === 0xa5),
        "wrote beyond a buffer",
      );
    const result = { out: dense(out), rotated: dense(rotated), probabilities };
    kernel.reset();
    kernel.alloc(mark - kernel.alloc(0));
    return result;
  }

  /** The matrix as kernels.h lays it out, for rows that begin at absolute index p. */
  private matrixRows(matrix: number, p: number, rows: number): Float32Array[] {
    const { kernel, shape } = this.pool;
    const origin = Math.floor(this.firstSeen(p) / PAGE) * PAGE;
    const columns = Math.ceil((p + rows) / PAGE) * PAGE - origin;
    return Array.from({ length: rows * shape.group }, (_, i) => {
      const row = new Float32Array(origin + columns);
      row.set(kernel.f32(matrix + 4 * i * columns, columns), origin);
      return row;
    });
  }
}

/** The whole of a sequence, fed in chunks of the given sizes: (length, group, head_dim). */
export function attend(kernel: Kernels, shape: Shape, { q, k, v }: Rows, chunks: number[], way?: Way): Float32Array {
  const { group, head_dim, window } = shape;
  const length = k.length / head_dim;
  // With a window, no more pages than it and a chunk can touch: they are used again.
  const most = window ? Math.min(length, window + Math.max(...chunks) + 2 * PAGE) : length;
  const pool = new Pool(kernel, shape, Math.ceil(most / PAGE));
  const sequence = new PagedSequence(pool);
  const out = new Float32Array(q.length);
  for (const rows of chunks) {
    const from = sequence.length;
    const part = (values: Float32Array, width: number) => values.subarray(from * width, (from + rows) * width);
    const chunk = { q: part(q, group * head_dim), k: part(k, head_dim), v: part(v, head_dim) };
    out.set(sequence.chunk(chunk, way).out, from * group * head_dim);
  }
  pool.checkUntouched();
  return out;
}
