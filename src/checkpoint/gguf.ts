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
/** Longer headers are refused. The largest vocabularies in use take some 15 MiB. */
const headerLimit = 2 ** 26;
/** Metadata pairs and tensors of one file; those in use have some hundred and some thousand. */
const mostPairs = 2 ** 16;
const mostTensors = 2 ** 16;

/**
 * Reads a GGUF file's header; of the tensors' data, only the places are looked at.
 * @throws {@link CheckpointError} when anything in it breaks the format, or has a type this engine does not compute with
 */
export async function readGGUF(file: SourceFile): Promise<GGUFHeader> {
  const reader = new HeaderReader(file);
  let prefix: Uint8Array = new Uint8Array();
  let length = Math.min(firstRead, file.size);
  for (;;) {
    const longer = new Uint8Array(length);
    longer.set(prefix);
    await file.read(prefix.length, longer.subarray(prefix.length));
    prefix = longer;
    const needed = reader.read(prefix);
    if (needed === undefined) return reader.header;
    if (needed > headerLimit) throw new CheckpointError(`${file.path}: the header is longer than ${headerLimit} bytes`);
    length = Math.min(Math.max(needed, 4 * length), file.size, headerLimit);
  }
}

/** Reads a header piece by piece: goes on behind the last pair or tensor that was read whole. */
class HeaderReader {
  private readonly file: SourceFile;
  private position = 0;
  private begun: { version: number; tensors: number; pairs: number } | undefined;
  private readonly metadata = new Map<string, GGUFValue>();
  private readonly types = new Map<string, GGUFType>();
  private readonly infos: TensorInfo[] = [];

  constructor(file: SourceFile) {
    this.file = file;
  }

  /**
   * @param prefix - the first bytes of the file: more than the last time
   * @returns how many are needed; undefined when the header was read to its end
   */
  read(prefix: Uint8Array): number | undefined {
    const { file, metadata, types, infos } = this;
    const cursor = new GGUFCursor(prefix, file.size, file.path, this.position);
    try {
      this.begun ??= readBeginning(cursor, file.size);
      for (this.position = cursor.position; metadata.size < this.begun.pairs; this.position = cursor.position) {
        const key = cursor.string(`metadata key ${metadata.size}`);
        if (key === "") throw cursor.fail(`metadata key ${metadata.size}: expected a name, found an empty key`);
        if (metadata.has(key)) throw cursor.fail(`metadata key ${showName(key)} stands twice in the file`);
        const { type, value } = cursor.value(showName(key));
        metadata.set(key, value);
        types.set(key, type);
      }
      for (; infos.length < this.begun.tensors; this.position = cursor.position)
        infos.push(readInfo(cursor, infos.length));
      return undefined;
    } catch (reason) {
      if (!(reason instanceof PrefixEnd)) throw reason;
      return reason.needed;
    }
  }

  /** What was read, once all of it was. */
  get header(): GGUFHeader {
    const { file, metadata, types, infos, position } = this;
    const alignment = metadata.get(alignmentKey) ?? defaultAlignment;
    if (!isAlignment(alignment))
      throw new CheckpointError(
        `${file.path}: ${alignmentKey}: expected a power of two of at most ${largestAlignment}, found ${show(alignment)}`,
      );
    const start = Math.ceil(position / alignment) * alignment;
    const tensors = infos.map((info) => place(info, file, start, alignment));
    checkOverlap(tensors);
    return { version: this.begun!.version, metadata, types, tensors, alignment };
  }
}

/** Version and counts. */
function readBeginning(cursor: GGUFCursor, size: number): { version: number; tensors: number; pairs: number } {
  const found = cursor.bytes(Math.min(4, size), "magic");
  if (!magic.every((byte, i) => found[i] === byte))
    throw cursor.fail(
      `expected a GGUF file, which begins with the magic "GGUF", found ${show(String.fromCharCode(...found))} (${size} bytes in all)`,
    );
  const version = cursor.u32("version");
  if (version !== 2 && version !== 3) {
    const swapped = version > 0xffff ? " (a big-endian file, perhaps)" : "";
    throw cursor.fail(`expected GGUF version 2 or 3, found version ${version}${swapped}`);
  }
  // A tensor's description has at least 32 bytes, a metadata pair 13.
  const [tensors, pairs] = [cursor.count("number of tensors", 32), cursor.count("number of metadata pairs", 13)];
  for (const [what, count, most] of [
    ["tensors", tensors, mostTensors],
    ["metadata pairs", pairs, mostPairs],
  ] as const)
    if (count > most) throw cursor.fail(`number of ${what}: expected at most ${most}, found ${count}`);
  return { version, tensors, pairs };
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
