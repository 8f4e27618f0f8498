// safetensors: the header of a file, read and checked. Rules and limits are those of the format's reference reader:
// u64 length, a JSON object, then the data, which the tensors cover from its first byte to its last without a gap.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { parseJSONObject } from "./json.ts";

/** Bytes of a value of each type that the format knows, in the order of the reference's list. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type SafetensorsDtype = keyof typeof dtypeBytes;

/** One tensor of a safetensors file: its bytes are `file[offset, offset + bytes)`, row-major. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: SourceFile;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly entries: readonly SafetensorsEntry[];
  /** The strings under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Tensors of one file; those in use have some thousand. */
export const mostTensors = 2 ** 16;
/** The reference reader's limit for a header. */
export const headerLimit = 100_000_000;

/**
 * Reads a safetensors file's header; of the data, only the size is looked at.
 * @throws {@link CheckpointError} when anything in it breaks the format
 */
export async function readSafetensors(file: SourceFile): Promise<SafetensorsHeader> {
  const where = file.path;
  if (file.size < 8)
    throw new CheckpointError(
      `${where}: expected a safetensors file, found ${file.size} bytes: too short for a header`,
    );
  const prefix = new Uint8Array(8);
  await file.read(0, prefix);
  const view = new DataView(prefix.buffer);
  // Exact below 2^53, and only compared above.
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > Math.min(headerLimit, file.size - 8))
    throw new CheckpointError(
      `${where}: the header claims ${length} bytes, but the file ends after ${file.size} bytes and no header is longer than ${headerLimit}`,
    );
  const bytes = new Uint8Array(length);
  await file.read(8, bytes);
  const { __metadata__ = {}, ...tensors } = parseJSONObject(bytes, `${where}: header`);
  const start = 8 + length;
  const named = Object.entries(tensors);
  if (named.length > mostTensors)
    throw new CheckpointError(`${where}: expected at most ${mostTensors} tensors, found ${named.length}`);
  const entries = named.map(([name, entry]) => readEntry(name, entry, file, start));
  checkCoverage(entries, file, start);
  return { entries, metadata: readMetadata(__metadata__, where) };
}

function readMetadata(given: unknown, where: string): Map<string, string> {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new CheckpointError(`${where}: __metadata__: expected an object of strings, found ${show(given)}`);
  for (const [key, value] of Object.entries(given))
    if (typeof value !== "string")
      throw new CheckpointError(`${where}: __metadata__ ${showName(key)}: expected a string, found ${show(value)}`);
  return new Map(Object.entries(given as Record<string, string>));
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

function readEntry(name: string, entry: unknown, file: SourceFile, start: number): SafetensorsEntry {
  const fail = (expected: string, found: unknown) =>
    new CheckpointError(`${showName(name)}: expected ${expected}, found ${show(found)} in ${fileName(file.path)}`);
  if (typeof entry !== "object" || entry === null || Array.isArray(entry))
    throw fail("an object with dtype, shape and data_offsets", entry);
  const { dtype, shape, data_offsets } = entry as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(dtypeBytes, dtype))
    throw fail(`a dtype of ${Object.keys(dtypeBytes).join(", ")}`, dtype);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw fail("a shape of whole numbers", shape);
  if (!Array.isArray(data_offsets) || data_offsets.length !== 2 || !data_offsets.every(isCount))
    throw fail("data_offsets of two whole numbers", data_offsets);
  const [begin, end] = data_offsets as [number, number];
  if (begin > end || end > file.size - start)
    throw fail(`data_offsets within the ${file.size - start} bytes of data`, data_offsets);
  let bytes: number = dtypeBytes[dtype as SafetensorsDtype];
  for (const size of shape) {
    bytes *= size;
    // Past 2^53 the product is no longer exact, and no file is that large.
    if (bytes > Number.MAX_SAFE_INTEGER) throw fail("a shape whose size does not overflow", shape);
  }
  if (bytes !== end - begin) throw fail(`${bytes} bytes for ${dtype} [${shape}]`, end - begin);
  return { name, dtype, shape, file, offset: start + begin, bytes };
}

/** The tensors must follow each other without gap or overlap and fill the data. */
function checkCoverage(entries: readonly SafetensorsEntry[], file: SourceFile, start: number): void {
  const where = fileName(file.path);
  let end = start;
  for (const { name, offset, bytes } of entries.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset !== end)
      throw new CheckpointError(
        `${showName(name)}: expected data_offsets from ${end - start} on, found ${offset - start}: data ${offset < end ? "overlap" : "have a gap"} in ${where}`,
      );
    end = offset + bytes;
  }
  if (end !== file.size)
    throw new CheckpointError(
      `${where}: expected ${end} bytes by the header, found ${file.size}: ${file.size - end} bytes belong to no tensor`,
    );
}
