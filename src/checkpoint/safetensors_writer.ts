// Writes safetensors as the reference writer does, byte for byte: in one pass, so that tensors of many gigabytes need no
// memory; and as many files of a size, with the index that names them, as Hugging Face's folders have.
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { saveFile } from "../platform/files.ts";
import type { ByteWriter, Files } from "../platform/platform.ts";
import { dtypeBytes, headerLimit, mostTensors, type SafetensorsDtype } from "./safetensors.ts";
import { indexName, singleName } from "./shards.ts";

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Outermost dimension first; none of a single value. */
  readonly shape: readonly number[];
  /** The values' bytes, row-major and little-endian, in any number of pieces; called once, when the tensor's turn has come. */
  readonly data: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** What Hugging Face's loaders ask for. */
const TORCH: Readonly<Record<string, string>> = { format: "pt" };

/** Headers are filled up with spaces, so that data begin at a multiple of this. */
const ALIGN = 8;

const dtypes = Object.keys(dtypeBytes);

/**
 * Writes a whole file: the widest types first, so that every value is aligned, tensors of one type by name.
 * @param metadata - strings for `__metadata__`
 * @returns bytes written
 * @throws {@link InputError} when two tensors have one name, or `data` gives more or fewer bytes than the shape says
 * @example
 * await writeSafetensors(sink, [
 *   { name: "norm.weight", dtype: "F32", shape: [64], data: () => [new Uint8Array(256)] },
 * ]);
 */
export async function writeSafetensors(
  sink: ByteWriter,
  tensors: readonly SafetensorsTensor[],
  metadata: Readonly<Record<string, string>> = TORCH,
): Promise<number> {
  const sorted = tensors.toSorted(
    (a, b) => dtypes.indexOf(b.dtype) - dtypes.indexOf(a.dtype) || (a.name < b.name ? -1 : 1),
  );
  const header = headerOf(sorted, metadata);
  await sink.write(header);
  let total = header.length;
  for (const tensor of sorted) {
    const bytes = tensorBytes(tensor);
    let written = 0;
    for await (const piece of tensor.data()) {
      written += piece.length;
      if (written <= bytes) await sink.write(piece);
    }
    if (written !== bytes)
      throw new InputError(
        `${showName(tensor.name)}: expected ${bytes} bytes of ${tensor.dtype} [${tensor.shape}], found ${written}`,
      );
    total += bytes;
  }
  return total;
}

/** The length, the JSON, and spaces. */
function headerOf(tensors: readonly SafetensorsTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  if (tensors.length > mostTensors)
    throw new InputError(`safetensors: expected at most ${mostTensors} tensors in a file, found ${tensors.length}`);
  let offset = 0;
  // No object: names that are numbers would lose their place.
  const entries = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const names = new Set(["__metadata__"]);
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (names.has(name)) throw new InputError(`safetensors: expected names that differ, found ${showName(name)} twice`);
    names.add(name);
    const end = offset + tensorBytes(tensor);
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${entries.join()}}`);
  const length = Math.ceil(json.length / ALIGN) * ALIGN;
  if (length > headerLimit)
    throw new InputError(`safetensors: expected a header of at most ${headerLimit} bytes, found ${length}`);
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

/** Bytes of a tensor's data. @throws {@link InputError} where the shape is none */
export function tensorBytes({ name, dtype, shape }: Omit<SafetensorsTensor, "data">): number {
  const bytes = shape.reduce((a, b) => a * b, dtypeBytes[dtype]);
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(bytes))
    throw new InputError(`${showName(name)}: expected a shape of whole numbers, found [${shape}]`);
  return bytes;
}

/** Bytes of tensors in one file, as Hugging Face cuts. */
const MOST_SHARD_BYTES = 5e9;

/**
 * Writes a checkpoint's tensors into a folder: `model.safetensors`, or, where they are more than a file should have, files
 * `model-00001-of-0000n.safetensors` with tensors in the order given, and their index, which comes last.
 * @param most_bytes - of a file's tensors; a larger tensor has a file of its own
 * @returns the names of the files
 */
export async function writeShards(
  files: Pick<Files, "create" | "join">,
  folder: string,
  tensors: readonly SafetensorsTensor[],
  most_bytes = MOST_SHARD_BYTES,
): Promise<string[]> {
  const shards = cutShards(tensors, most_bytes);
  const [single, index] = [singleName("model"), indexName("model")];
  const number = (n: number) => String(n).padStart(5, "0");
  const nameOf = (i: number) => single.replace(".", `-${number(i + 1)}-of-${number(shards.length)}.`);
  const names = shards.length === 1 ? [single] : shards.map((_, i) => nameOf(i));
  for (const [i, shard] of shards.entries())
    await saveFile(files, files.join(folder, names[i]), (file) => writeSafetensors(file, shard));
  if (shards.length === 1) return names;
  const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]] as const));
  const contents = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0) },
    weight_map: Object.fromEntries(map.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
  const text = `${JSON.stringify(contents, null, 2)}\n`;
  await saveFile(files, files.join(folder, index), (file) => file.write(new TextEncoder().encode(text)));
  return [...names, index];
}

function cutShards(tensors: readonly SafetensorsTensor[], most_bytes: number): SafetensorsTensor[][] {
  const shards: SafetensorsTensor[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    if (size > 0 && size + bytes > most_bytes) {
      shards.push([]);
      size = 0;
    }
    shards[shards.length - 1].push(tensor);
    size += bytes;
  }
  return shards;
}
