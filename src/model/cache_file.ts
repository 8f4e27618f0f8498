// The file form of a cache: TRAMKV01, u32 length, a header in JSON, then each row's rings, layer by layer, as they stand in
// memory. A file is somebody's word: everything in the header is checked against the model and the file's size.
import { parseJSONObject } from "../checkpoint/json.ts";
import type { ModelShape } from "../config/shape.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type CachedSequence, type CacheStore, layerBytes } from "./cache_store.ts";
import { kvTypes } from "./step.ts";

const CACHE_MAGIC = new TextEncoder().encode("TRAMKV01");

const cacheShape = ({ layers, kv_heads, head_dim, window }: ModelShape) => ({ layers, kv_heads, head_dim, window });
const describeSequence = ({ ring, length }: CachedSequence) => ({ type: ring.type, slots: ring.slots, length });

/** The bytes of a cache file. @param columns - tokens seen, padding included */
export function encodeCache(
  shape: ModelShape,
  store: CacheStore,
  columns: number,
  sequences: readonly CachedSequence[],
): Uint8Array {
  const header = { columns, shape: cacheShape(shape), sequences: sequences.map(describeSequence) };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const parts = sequences.flatMap(({ ring }) =>
    Array.from({ length: shape.layers }, (_, layer) => store.layer(ring, layer)),
  );
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const data = new Uint8Array(CACHE_MAGIC.length + 4 + json.length + size);
  data.set(CACHE_MAGIC);
  new DataView(data.buffer).setUint32(CACHE_MAGIC.length, json.length, true);
  data.set(json, CACHE_MAGIC.length + 4);
  let at = CACHE_MAGIC.length + 4 + json.length;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/**
 * The rows of a cache file, in rings of `store`.
 * @param path - for messages
 * @throws {@link InputError} when the bytes are no cache, or one of another model; MemoryError when there is no room
 */
export function decodeCache(
  shape: ModelShape,
  store: CacheStore,
  data: Uint8Array,
  path: string,
): { columns: number; sequences: CachedSequence[] } {
  const bad = (what: string) => new InputError(`${path}: ${what}`);
  if (data.length < CACHE_MAGIC.length + 4 || CACHE_MAGIC.some((byte, i) => data[i] !== byte))
    throw bad("not a cache file");
  const length = new DataView(data.buffer, data.byteOffset).getUint32(CACHE_MAGIC.length, true);
  let at = CACHE_MAGIC.length + 4 + length;
  if (at > data.length) throw bad(`the header of ${length} bytes goes beyond the end`);
  const header = parseHeader(data.subarray(CACHE_MAGIC.length + 4, at), path);
  const [expected, found] = [JSON.stringify(cacheShape(shape)), JSON.stringify(header.shape)];
  if (expected !== found) throw bad(`expected the cache of a model with ${expected}, found ${show(header.shape)}`);
  const { columns, rows } = checkHeader(header, shape, bad);
  const size = rows.reduce((sum, { slots, type }) => sum + shape.layers * layerBytes(shape, slots, type), 0);
  if (data.length - at !== size) throw bad(`expected ${size} bytes of keys and values, found ${data.length - at}`);
  const sequences: CachedSequence[] = [];
  try {
    for (const { type, length: seen, slots } of rows) {
      const ring = store.create(slots, type);
      sequences.push({ ring, length: seen });
      for (let layer = 0; layer < shape.layers; layer++) {
        const part = store.layer(ring, layer);
        part.set(data.subarray(at, at + part.length));
        at += part.length;
      }
    }
  } catch (error) {
    for (const { ring } of sequences) store.free(ring);
    throw error;
  }
  return { columns, sequences };
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
  { columns, sequences }: Record<string, unknown>,
  shape: ModelShape,
  bad: (what: string) => InputError,
): { columns: number; rows: ReturnType<typeof describeSequence>[] } {
  const count = (value: unknown, most: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
  if (!count(columns, 2 ** 31)) throw bad(`columns: expected a count, found ${show(columns)}`);
  if (!Array.isArray(sequences)) throw bad(`sequences: expected a list, found ${show(sequences)}`);
  for (const [row, sequence] of sequences.entries()) {
    const { type, slots, length } = (sequence ?? {}) as Record<string, unknown>;
    if (typeof type !== "string" || !Object.hasOwn(kvTypes, type))
      throw bad(`row ${row}: expected a type of ${Object.keys(kvTypes).join(", ")}, found ${show(type)}`);
    if (!count(slots, shape.window || 2 ** 32) || slots === 0)
      throw bad(`row ${row}: expected slots from 1 to ${shape.window || 2 ** 32}, found ${show(slots)}`);
    // Only a ring as large as the window rolls.
    const most = slots === shape.window ? columns : Math.min(columns, slots);
    if (!count(length, most)) throw bad(`row ${row}: expected a length of at most ${most}, found ${show(length)}`);
  }
  return { columns, rows: sequences };
}
