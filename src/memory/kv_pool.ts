// The memory of all caches: pages of 64 positions, which hold the keys and values of all layers. A page's number means the
// same in every layer: page p of layer l stands at bases[l] + p · page_bytes[l] of bank banks[l], first the keys
// (kv_head, position, row), then the values likewise. So one list of pages serves a sequence, whatever the layers. Pages
// are counted: a fork or a shared prefix refers to the pages that are there.
import type { ModelShape } from "../config/shape.ts";
import { EngineError, MemoryError } from "../errors.ts";
import { type FileFormat, formats, rowBytes } from "../quant/formats.ts";
import { alignUp } from "./bank.ts";

/** Positions of a page: the block of keys that attention takes at a time. */
export const PAGE_POSITIONS = 64;

/** How caches store keys and values. */
export type KvFormat = "f32" | "f16" | "q8_0";

/** The numbers that the kernels know them by, and the formats of rows. */
export const kvFormats: { readonly [F in KvFormat]: { readonly id: number; readonly row: FileFormat } } = {
  f32: { id: 0, row: formats.F32 },
  f16: { id: 1, row: formats.F16 },
  q8_0: { id: 2, row: formats.Q8_0 },
};

/** Rows are padded to a multiple of this many values: cpp/kernels.h, kv_row_bytes. */
const ROW_VALUES = 16;

/** Bytes of one head's key or value. */
export const kvRowBytes = (head_dim: number, format: KvFormat): number =>
  rowBytes(kvFormats[format].row, alignUp(head_dim, ROW_VALUES));

/** Bytes that the keys and values of some positions take, all layers. */
export const cacheBytes = ({ layers }: ModelShape, positions: number, format: KvFormat): number =>
  layers.reduce((sum, layer) => sum + 2 * layer.kv_heads * kvRowBytes(layer.head_dim, format), 0) * positions;

/** Where pages stand. Plain data: sent to the threads. */
export interface KvLayout {
  readonly format: KvFormat;
  readonly pages: number;
  readonly page_bytes: readonly number[]; // (layer) 2 · kv_heads · PAGE_POSITIONS · row bytes
  readonly head_bytes: readonly number[]; // (layer) PAGE_POSITIONS · row bytes
  readonly banks: readonly number[]; // (layer)
  readonly bases: readonly number[]; // (layer)
  /** Eager attention's matrices: (layer) the first thread's, and the bytes of each thread's. */
  readonly matrices?: { readonly bases: readonly number[]; readonly bytes: number };
}

/** What a pool is asked to hold. */
export interface KvSizes {
  readonly format: KvFormat;
  /** Bytes that all pages may take. */
  readonly bytes: number;
  /** Pages that could ever be used: of as many sequences as there may be, each as long as it may be. */
  readonly most_pages: number;
  /** Bytes of eager attention's matrices in each bank that has pages, 0 for none; and of each thread's. */
  readonly matrices: number;
  readonly matrix: number;
}

/**
 * Lays the pages of each layer into the bank of its weights where there is room, so that attention copies nothing between
 * banks; else into banks of their own.
 * @param layer_banks - (layer) the bank of its attention's weights
 * @param bank_bytes - bytes used of each bank so far
 * @returns the layout, and the bytes of all banks with it
 * @throws {@link MemoryError} when not even one page fits
 */
export function planKv(
  shape: ModelShape,
  sizes: KvSizes,
  layer_banks: readonly number[],
  bank_bytes: readonly number[],
  low: number,
  capacity: number,
): { layout: KvLayout; bank_bytes: readonly number[] } {
  const head_bytes = shape.layers.map(({ head_dim }) => PAGE_POSITIONS * kvRowBytes(head_dim, sizes.format));
  const page_bytes = shape.layers.map(({ kv_heads }, l) => 2 * kv_heads * head_bytes[l]);
  const whole_page = page_bytes.reduce((a, b) => a + b, 0);
  const room = capacity - low - sizes.matrices;
  const pages = Math.min(
    Math.floor(sizes.bytes / whole_page),
    sizes.most_pages,
    Math.floor((room - 64) / Math.max(...page_bytes)),
  );
  if (pages < 1)
    throw new MemoryError(
      `kv_bytes: a page of the cache (${PAGE_POSITIONS} positions of all layers) takes ${whole_page} bytes, ${sizes.bytes} were allowed`,
      whole_page,
      sizes.bytes,
    );
  const used = [...bank_bytes];
  const matrix_bases = new Map<number, number>();
  const banks: number[] = [];
  const bases: number[] = [];
  for (const [l, bytes] of page_bytes.entries()) {
    const needs = (bank: number) => pages * bytes + 64 + (matrix_bases.has(bank) ? 0 : sizes.matrices);
    const fits = (bank: number) => used[bank] + needs(bank) <= capacity;
    let bank = [layer_banks[l], used.length - 1].find(fits);
    if (bank === undefined) bank = used.push(low) - 1;
    const take = (size: number) => {
      const at = alignUp(used[bank], 64);
      used[bank] = at + size;
      return at;
    };
    if (sizes.matrices && !matrix_bases.has(bank)) matrix_bases.set(bank, take(sizes.matrices));
    banks.push(bank);
    bases.push(take(pages * bytes));
  }
  const matrices = sizes.matrices
    ? { bases: banks.map((bank) => matrix_bases.get(bank)!), bytes: sizes.matrix }
    : undefined;
  return { layout: { format: sizes.format, pages, page_bytes, head_bytes, banks, bases, matrices }, bank_bytes: used };
}

/** Which pages are free, and how many refer to each of the others. The host's alone: threads only read page numbers. */
export class KvPool {
  readonly layout: KvLayout;
  /** Bytes of one page, all layers. */
  readonly page_bytes: number;
  private readonly references: Uint32Array; // (page)
  /** Pages given back; the last first, for their memory has been touched already. */
  private readonly returned: number[] = [];
  /** Pages from here on were never used. */
  private fresh = 0;
  /** Whether the engine is gone, and with it what the pages held. */
  closed = false;

  constructor(layout: KvLayout) {
    this.layout = layout;
    this.page_bytes = layout.page_bytes.reduce((a, b) => a + b, 0);
    this.references = new Uint32Array(layout.pages);
  }

  /** Pages that can be taken. */
  get free(): number {
    return this.layout.pages - this.fresh + this.returned.length;
  }

  /** Bytes of the pages in use. */
  get bytes(): number {
    return (this.layout.pages - this.free) * this.page_bytes;
  }

  /** A page, with one reference; what it holds is anything. @throws {@link EngineError} when none is free, or after `close` */
  take(): number {
    if (this.closed) throw new EngineError("the model was disposed");
    if (this.free === 0) throw new EngineError("no page of the cache is free");
    const page = this.returned.pop() ?? this.fresh++;
    this.references[page] = 1;
    return page;
  }

  retain(page: number): void {
    this.references[page]++;
  }

  release(page: number): void {
    if (--this.references[page] === 0) this.returned.push(page);
  }

  isShared(page: number): boolean {
    return this.references[page] > 1;
  }
}
