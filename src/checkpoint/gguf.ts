// GGUF, versions 2 and 3: the header of one file, read and checked: metadata, and where each tensor's bytes are.
// Source: the GGUF specification; what this engine asks beyond it is said at each check.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { formatById, formats } from "../quant/formats.ts";
import type { TensorRef } from "./checkpoint.ts";
import { GGUFCursor, PrefixEnd } from "./gguf_cursor.ts";
import {
  alignmentKey,
  defaultAlignment,
  type GGUFType,
  type GGUFValue,
  isAlignment,
  largestAlignment,
  magic,
} from "./gguf_types.ts";

export interface GGUFHeader {
  readonly version: number;
  /** Values by key, in the file's order: numeric arrays as typed arrays, arrays of strings as string[]. */
  readonly metadata: ReadonlyMap<string, GGUFValue>;
  /** The type that each value has in the file, e.g. `u32` or `string[]`. */
  readonly types: ReadonlyMap<string, GGUFType>;
  /** In the file's order; shapes outermost first. */
  readonly tensors: readonly TensorRef[];
  readonly alignment: number;
}

/** What is read first; the header of a Mixtral (its vocabulary, mostly) takes one to two MiB. */
const firstRead = 2 ** 20;
/** Longer headers are refused. The largest vocabularies in use take some 10 MiB. */
const headerLimit = 2 ** 28;

/**
 * Reads a GGUF file's header; of the tensors' data, only the places are looked at.
 * @throws {@link CheckpointError} when anything in it breaks the format, or has a type this engine does not compute with
 */
export async function readGGUF(file: SourceFile): Promise<GGUFHeader> {
  let length = Math.min(firstRead, file.size);
  for (;;) {
    const prefix = new Uint8Array(length);
    await file.read(0, prefix);
    try {
      return parseHeader(prefix, file);
    } catch (reason) {
      if (!(reason instanceof PrefixEnd)) throw reason;
      if (reason.needed > headerLimit)
        throw new CheckpointError(`${file.path}: the header is longer than ${headerLimit} bytes`);
      // Begin again with four times as much: all readings together cost a third more than the last.
      length = Math.min(Math.max(reason.needed, 4 * length), file.size, headerLimit);
    }
  }
}

function parseHeader(prefix: Uint8Array, file: SourceFile): GGUFHeader {
  const cursor = new GGUFCursor(prefix, file.size, file.path);
  const found = cursor.bytes(Math.min(4, file.size), "magic");
  if (!magic.every((byte, i) => found[i] === byte))
    throw cursor.fail(
      `expected a GGUF file, which begins with the magic "GGUF", found ${show(Array.from(found))} (${file.size} bytes in all)`,
    );
  const version = cursor.u32("version");
  if (version !== 2 && version !== 3) {
    const swapped = version > 0xffff ? " (a big-endian file, perhaps)" : "";
    throw cursor.fail(`expected GGUF version 2 or 3, found version ${version}${swapped}`);
  }
  // A tensor's description has at least 32 bytes, a metadata pair 13.
  const tensorCount = cursor.count("number of tensors", 32);
  const pairCount = cursor.count("number of metadata pairs", 13);
  const metadata = new Map<string, GGUFValue>();
  const types = new Map<string, GGUFType>();
  for (let i = 0; i < pairCount; i++) {
    const key = cursor.string(`metadata key ${i}`);
    if (key === "") throw cursor.fail(`metadata key ${i}: expected a name, found an empty key`);
    if (metadata.has(key)) throw cursor.fail(`metadata key ${showName(key)} stands twice in the file`);
    const { type, value } = cursor.value(showName(key));
    metadata.set(key, value);
    types.set(key, type);
  }
  const alignment = metadata.get(alignmentKey) ?? defaultAlignment;
  if (!isAlignment(alignment))
    throw cursor.fail(
      `${alignmentKey}: expected a power of two of at most ${largestAlignment}, found ${show(alignment)}`,
    );
  const infos: TensorInfo[] = [];
  while (infos.length < tensorCount) infos.push(readInfo(cursor, infos.length));
  const start = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = infos.map((info) => place(info, file, start, alignment));
  checkOverlap(tensors);
  return { version, metadata, types, tensors, alignment };
}

interface TensorInfo {
  readonly name: string;
  /** Innermost first, as in the file. */
  readonly dims: readonly number[];
  readonly type: number;
  /** Bytes from the start of the data. */
  readonly offset: number;
}

function readInfo(cursor: GGUFCursor, index: number): TensorInfo {
  const name = cursor.string(`name of tensor ${index}`);
  const shown = showName(name);
  const rank = cursor.u32(`${shown}: number of dimensions`);
  // ggml has four; with none or five nothing here could be meant.
  if (rank < 1 || rank > 4) throw cursor.fail(`${shown}: expected 1 to 4 dimensions, found ${rank}`);
  const dims = Array.from({ length: rank }, () => cursor.u64(`${shown}: dimension`));
  return { name, dims, type: cursor.u32(`${shown}: type`), offset: cursor.u64(`${shown}: offset`) };
}

/** Checks one tensor's type, shape and place, and says where its bytes are. */
function place(
  { name, dims, type, offset }: TensorInfo,
  file: SourceFile,
  start: number,
  alignment: number,
): TensorRef {
  const fail = (message: string) => new CheckpointError(`${showName(name)}: ${message} in ${fileName(file.path)}`);
  const format = formatById(type);
  if (!format) {
    const known = Object.values(formats).map((f) => `${f.name} (${f.id})`);
    throw fail(`expected a tensor type that this version computes with (${known.join(", ")}), found type ${type}`);
  }
  const shape = dims.toReversed();
  let values = 1;
  for (const dim of dims) {
    if (dim === 0) throw fail(`expected dimensions of at least 1, found shape [${shape.join(", ")}]`);
    values *= dim;
    if (values > Number.MAX_SAFE_INTEGER)
      throw fail(`the shape [${shape.join(", ")}] is too large: its size overflows`);
  }
  if (dims[0] % format.block_values !== 0)
    throw fail(
      `expected rows of whole ${format.name} blocks (a multiple of ${format.block_values} values), found shape [${shape.join(", ")}]`,
    );
  const bytes = (values / format.block_values) * format.block_bytes;
  if (offset % alignment !== 0)
    throw fail(`expected an offset that is a multiple of the alignment ${alignment}, found ${offset}`);
  if (offset > file.size || start + offset + bytes > file.size)
    throw fail(
      `truncated or wrong: ${bytes} bytes at offset ${offset} end beyond the file's ${Math.max(0, file.size - start)} bytes of data`,
    );
  return { name, format, shape, file, offset: start + offset, bytes };
}

/** Gaps between tensors are lawful, and so are bytes after the last; shared bytes and shared names are not. */
function checkOverlap(tensors: readonly TensorRef[]): void {
  const names = new Set<string>();
  let last: TensorRef | undefined;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const where = fileName(tensor.file.path);
    if (names.has(tensor.name)) throw new CheckpointError(`${showName(tensor.name)} stands twice in ${where}`);
    names.add(tensor.name);
    if (last && tensor.offset < last.offset + last.bytes)
      throw new CheckpointError(
        `${showName(tensor.name)}: its bytes at offset ${tensor.offset} overlap those of ${showName(last.name)} in ${where}`,
      );
    last = tensor;
  }
}
