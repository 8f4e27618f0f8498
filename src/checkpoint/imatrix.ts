// Importance matrices: for each weight, the mean square of what its columns are multiplied by. Read in both forms that
// llama.cpp writes: GGUF, and the older one of plain lists. Source: fixtures/quantize's README.

import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { Files, SourceFile } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { formats } from "../quant/formats.ts";
import type { TensorRef } from "./checkpoint.ts";
import { readGGUF } from "./gguf.ts";

/** Mean squares of one weight. */
export interface ImportanceEntry {
  /** (experts, columns), in shared memory: threads read it. */
  readonly values: Float32Array;
  /** Undefined where the file does not tell. */
  readonly experts: number | undefined;
}

export interface Imatrix {
  /** The file's name. */
  readonly file: string;
  /** By the name of the weight. */
  readonly entries: ReadonlyMap<string, ImportanceEntry>;
  readonly datasets: readonly string[];
  /** Undefined where the file does not tell. */
  readonly chunk_count: number | undefined;
}

/** Largest file that is read; that of the 8x22B has some 50 MB. */
const LIMIT = 2 ** 30;

/** @throws {@link CheckpointError} when it is neither form, damaged, or has what is no mean square */
export async function readImatrix(files: Pick<Files, "open">, path: string): Promise<Imatrix> {
  const file = await files.open(path);
  try {
    if (file.size > LIMIT) throw fail(file, `expected at most ${LIMIT} bytes, found ${file.size}`);
    const magic = new Uint8Array(Math.min(4, file.size));
    await file.read(0, magic);
    const imatrix = new TextDecoder().decode(magic) === "GGUF" ? await readTensors(file) : await readLists(file);
    if (imatrix.entries.size === 0) throw fail(file, "expected an importance matrix, found one without entries");
    for (const [name, { values }] of imatrix.entries) {
      const bad = values.findIndex((value) => !(value >= 0 && value < Infinity));
      if (bad >= 0)
        throw fail(file, `${showName(name)}: expected finite mean squares of at least 0, found ${values[bad]}`);
    }
    return imatrix;
  } finally {
    await file.close();
  }
}

/**
 * The mean squares of a weight's columns, if the matrix has them. Those of an embedding are passed over where they do not fit:
 * llama.cpp does so, too.
 * @returns (experts, columns), shared
 * @throws {@link CheckpointError} when there are not as many as the weight has columns and experts
 */
export function importanceOf(
  { file, entries }: Imatrix,
  name: string,
  experts: number,
  columns: number,
): Float32Array | undefined {
  const values = entries.get(name)?.values;
  if (values === undefined || values.length === experts * columns) return values;
  if (name === "token_embd.weight") return undefined;
  throw new CheckpointError(
    `${file}: ${showName(name)}: expected a size of ${experts * columns} (${experts} experts of ${columns} columns), found ${values.length}`,
  );
}

const fail = ({ path }: SourceFile, what: string) => new CheckpointError(`${path}: ${what}`);

const shared = (length: number) => new Float32Array(sharedBuffer(length * 4));

const SUMS = ".in_sum2";
const COUNTS = ".counts";

async function readTensors(file: SourceFile): Promise<Imatrix> {
  const { metadata, tensors } = await readGGUF(file);
  const chunk_count = metadata.get("imatrix.chunk_count");
  const datasets = metadata.get("imatrix.datasets");
  if (typeof chunk_count !== "number" || !Array.isArray(datasets))
    throw fail(
      file,
      "expected the metadata of an importance matrix (imatrix.chunk_count, imatrix.datasets), found none",
    );
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const entries = new Map<string, ImportanceEntry>();
  for (const name of byName.keys()) {
    const weight = name.endsWith(SUMS)
      ? name.slice(0, -SUMS.length)
      : name.endsWith(COUNTS)
        ? name.slice(0, -COUNTS.length)
        : "";
    if (weight === "" || entries.has(weight)) continue;
    entries.set(weight, await readEntry(file, byName, weight));
  }
  return { file: fileName(file.path), entries, datasets: datasets as string[], chunk_count };
}

async function readEntry(
  file: SourceFile,
  tensors: ReadonlyMap<string, TensorRef>,
  weight: string,
): Promise<ImportanceEntry> {
  const read = async (suffix: string): Promise<Float32Array> => {
    const tensor = tensors.get(weight + suffix);
    if (!tensor) throw fail(file, `${showName(weight + suffix)}: missing beside the other`);
    if (tensor.format !== formats.F32)
      throw fail(file, `${showName(weight + suffix)}: expected type F32, found ${tensor.format.name}`);
    const bytes = new Uint8Array(tensor.bytes);
    await file.read(tensor.offset, bytes);
    return new Float32Array(bytes.buffer);
  };
  const [sums, counts] = [await read(SUMS), await read(COUNTS)];
  const columns = sums.length / counts.length;
  if (!Number.isInteger(columns))
    throw fail(
      file,
      `${showName(weight)}: expected whole experts, found ${sums.length} sums and ${counts.length} counts`,
    );
  const values = shared(sums.length);
  // What no expert was asked for weighs the same everywhere.
  for (let i = 0; i < sums.length; i++) {
    const count = counts[Math.floor(i / columns)];
    values[i] = count > 0 ? sums[i] / count : 1;
  }
  return { values, experts: counts.length };
}

/** The older form: counted entries of name, calls and values; then perhaps chunks and the text's name. */
async function readLists(file: SourceFile): Promise<Imatrix> {
  const bytes = new Uint8Array(file.size);
  await file.read(0, bytes);
  const view = new DataView(bytes.buffer);
  const decoder = new TextDecoder();
  let at = 0;
  const take = (count: number, what: string): number => {
    const start = at;
    if (count < 0 || count > bytes.length - at)
      throw fail(
        file,
        `not an importance matrix: ${what} of length ${count} at byte ${at} goes beyond the end of file`,
      );
    at += count;
    return start;
  };
  const integer = (what: string) => view.getInt32(take(4, what), true);
  const text = (what: string): string => {
    const length = integer(`the length of ${what}`);
    const start = take(length, what);
    return decoder.decode(bytes.subarray(start, start + length));
  };
  const count = integer("the number of entries");
  if (count < 1) throw fail(file, `not an importance matrix: expected entries, found a number of them of ${count}`);
  const entries = new Map<string, ImportanceEntry>();
  for (let i = 0; i < count; i++) {
    const name = text(`the name of entry ${i}`);
    const calls = integer(`entry ${i}`);
    const length = integer(`entry ${i}`);
    if (length < 1)
      throw fail(file, `not an importance matrix: entry ${show(name)} has an invalid length of ${length}`);
    const start = take(length * 4, `entry ${show(name)}`);
    const values = shared(length);
    for (let j = 0; j < length; j++) values[j] = view.getFloat32(start + 4 * j, true) / Math.max(1, calls);
    entries.set(name, { values, experts: undefined });
  }
  if (at === bytes.length) return { file: fileName(file.path), entries, datasets: [], chunk_count: undefined };
  const chunk_count = integer("the number of chunks");
  return { file: fileName(file.path), entries, datasets: [text("the name of the text")], chunk_count };
}
