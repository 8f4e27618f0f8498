// The file form of a cache: TRAMKV04, u32 length, a header in JSON, then for each row and layer the pages, as they stand in
// memory. A file is somebody's word: everything in the header is checked against the model and the file's size.
import { parseJSONObject } from "../checkpoint/json.ts";
import type { ModelShape } from "../config/shape.ts";
import { show } from "../config/show.ts";
import { InputError, MemoryError } from "../errors.ts";
import { type KvPool, kvFormats, PAGE_POSITIONS } from "../memory/kv_pool.ts";
import type { ByteWriter, SourceFile } from "../platform/platform.ts";
import type { AdapterMark } from "./adapter_set.ts";
import { PageList } from "./pages.ts";

const CACHE_MAGIC = new TextEncoder().encode("TRAMKV04");
const HEADER_LIMIT = 2 ** 24;

/** The memories and what of the model a file must agree with. */
export interface CacheMemory {
  readonly shape: ModelShape;
  readonly pool: KvPool;
  readonly banks: readonly WebAssembly.Memory[];
  /** Tells weights apart that have one shape. */
  fingerprint(): string;
}

interface RowHeader {
  readonly length: number;
  readonly first_block: number;
  readonly hidden: readonly number[];
  /** What its keys were computed with. */
  readonly adapters: readonly AdapterMark[];
}

/** What a file says of the model whose keys it holds. */
const describeModel = ({ shape, pool, fingerprint }: CacheMemory) => ({
  layers: shape.layers.map(({ kv_heads, head_dim, window }) => [kv_heads, head_dim, window]),
  format: pool.layout.format,
  weights: fingerprint(),
});

/** The bytes of a page in one layer. */
function pageBytes({ pool, banks }: CacheMemory, layer: number, page: number): Uint8Array {
  const { layout } = pool;
  const bytes = layout.page_bytes[layer];
  return new Uint8Array(banks[layout.banks[layer]].buffer, layout.bases[layer] + page * bytes, bytes);
}

/** @param columns - tokens seen, padding included */
export async function writeCache(
  memory: CacheMemory,
  sink: ByteWriter,
  columns: number,
  rows: readonly PageList[],
): Promise<void> {
  const headers: RowHeader[] = rows.map(({ length, first_block, hidden_slots: hidden, adapters: { marks } }) => {
    return { length, first_block, hidden, adapters: marks };
  });
  const header = { columns, model: describeModel(memory), rows: headers };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(CACHE_MAGIC.length + 4 + json.length);
  start.set(CACHE_MAGIC);
  new DataView(start.buffer).setUint32(CACHE_MAGIC.length, json.length, true);
  start.set(json, CACHE_MAGIC.length + 4);
  await sink.write(start);
  for (const { pages } of rows) {
    for (let layer = 0; layer < memory.shape.layers.length; layer++)
      for (const page of pages) await sink.write(pageBytes(memory, layer, page));
  }
}

/**
 * The rows of a cache file, in pages of the pool.
 * @throws {@link InputError} when the bytes are no cache, or one of another model; MemoryError when there is no room
 */
export async function readCache(memory: CacheMemory, file: SourceFile): Promise<{ columns: number; rows: PageList[] }> {
  const { pool } = memory;
  const bad = (what: string) => new InputError(`${file.path}: ${what}`);
  const start = new Uint8Array(CACHE_MAGIC.length + 4);
  if (file.size >= start.length) await file.read(0, start);
  if (CACHE_MAGIC.some((byte, i) => start[i] !== byte)) throw bad("not a cache file of this version");
  const length = new DataView(start.buffer).getUint32(CACHE_MAGIC.length, true);
  if (length > Math.min(HEADER_LIMIT, file.size - start.length))
    throw bad(`expected a header within the file, found one of ${length} bytes`);
  const json = new Uint8Array(length);
  await file.read(start.length, json);
  const { columns, rows: headers } = checkHeader(parseHeader(json, file.path), memory, bad);
  const counts = headers.map(({ length: seen, first_block }) => Math.ceil(seen / PAGE_POSITIONS) - first_block);
  const pages = counts.reduce((a, b) => a + b, 0);
  const size = start.length + length + pages * pool.page_bytes;
  if (file.size !== size) throw bad(`expected ${size} bytes, found ${file.size}`);
  if (pages > pool.free)
    throw new MemoryError(
      `${file.path}: its keys and values take ${pages * pool.page_bytes} bytes, ${pool.free * pool.page_bytes} of kv_bytes are free`,
      pages * pool.page_bytes,
      pool.free * pool.page_bytes,
    );
  const rows: PageList[] = [];
  try {
    let at = start.length + length;
    for (const [i, { length: seen, first_block, hidden, adapters: marks }] of headers.entries()) {
      const row = new PageList(pool, memory.shape.window);
      rows.push(row);
      row.first_block = first_block;
      row.length = seen;
      row.hide(hidden);
      // Which of those that are loaded they are is known when a call has them.
      row.adapters = { ids: [], marks };
      for (let n = 0; n < counts[i]; n++) row.pages.push(pool.take());
      at = await readPages(memory, file, row.pages, at);
    }
  } catch (error) {
    for (const row of rows) row.release();
    throw error;
  }
  return { columns, rows };
}

/** Reads a row's pages, layer by layer. @returns where the next row begins */
async function readPages(
  memory: CacheMemory,
  file: SourceFile,
  pages: readonly number[],
  from: number,
): Promise<number> {
  let at = from;
  for (let layer = 0; layer < memory.shape.layers.length; layer++) {
    for (const page of pages) {
      const bytes = pageBytes(memory, layer, page);
      await file.read(at, bytes);
      at += bytes.length;
    }
  }
  return at;
}

function parseHeader(json: Uint8Array, path: string): Record<string, unknown> {
  try {
    return parseJSONObject(json, `${path}: header`);
  } catch (cause) {
    throw new InputError((cause as Error).message, { cause });
  }
}

/** What a header says of the rows, where it says what can be. */
function checkHeader(
  { columns, model, rows }: Record<string, unknown>,
  memory: CacheMemory,
  bad: (what: string) => InputError,
): { columns: number; rows: RowHeader[] } {
  const { format } = memory.pool.layout;
  const found = (model as { format?: unknown } | null | undefined)?.format;
  // Rounded keys are not those that the model would compute: nothing is converted.
  if (found !== format && Object.keys(kvFormats).includes(found as string))
    throw bad(
      `expected keys and values in ${format}, as the model keeps them, found ${found}: load it with that kv_dtype`,
    );
  const expected = JSON.stringify(describeModel(memory));
  if (JSON.stringify(model) !== expected)
    throw bad(`expected the cache of a model with ${expected}, found ${show(model)}`);
  const count = (value: unknown, most: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
  if (!count(columns, 2 ** 31)) throw bad(`columns: expected a count, found ${show(columns)}`);
  if (!Array.isArray(rows)) throw bad(`rows: expected a list, found ${show(rows)}`);
  const { window } = memory.shape;
  for (const [i, row] of rows.entries()) {
    const { length, first_block, hidden, adapters } = (row ?? {}) as Record<string, unknown>;
    if (!count(length, columns)) throw bad(`row ${i}: expected a length of at most ${columns}, found ${show(length)}`);
    // Of what the next token sees all must be there.
    const most = window ? Math.floor(Math.max(0, length + 1 - window) / PAGE_POSITIONS) : 0;
    if (!count(first_block, most))
      throw bad(`row ${i}: expected first_block of at most ${most}, found ${show(first_block)}`);
    if (!Array.isArray(hidden) || !hidden.every((slot) => count(slot, length - 1)))
      throw bad(`row ${i}: expected hidden positions below ${length}, found ${show(hidden)}`);
    if (!Array.isArray(adapters) || adapters.length > MOST_ADAPTERS || !adapters.every(isMark))
      throw bad(`row ${i}: expected adapters by name and fingerprint, found ${show(adapters)}`);
  }
  return { columns, rows: rows as RowHeader[] };
}

/** Adapters of a row at most. */
const MOST_ADAPTERS = 4096;

const isMark = (value: unknown): value is AdapterMark => {
  const { name, fingerprint } = (value ?? {}) as Record<string, unknown>;
  return typeof name === "string" && typeof fingerprint === "string";
};

/** FNV-1a over some bytes of each of the banks' ranges, in hexadecimal. */
export function hashRanges(ranges: readonly Uint8Array[]): string {
  let hash = 0xcbf29ce484222325n;
  for (const range of ranges) {
    for (const byte of range) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
