// Writes a GGUF file (version 3) in one pass: the header, then each tensor's bytes as they come, so that files of many
// gigabytes need no memory.
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { ByteWriter } from "../platform/platform.ts";
import { type FormatName, formats, rowBytes } from "../quant/formats.ts";
import {
  alignmentKey,
  arrayTypeId,
  defaultAlignment,
  type GGUFScalarType,
  type GGUFType,
  type GGUFValue,
  isAlignment,
  largestAlignment,
  magic,
  numberTypes,
  typeNames,
} from "./gguf_types.ts";

/** One metadata pair. A numeric array may also be given as a plain array of numbers (bigints for u64 and i64). */
export type GGUFPair = readonly [key: string, type: GGUFType, value: GGUFValue | readonly number[] | readonly bigint[]];

export interface GGUFTensor {
  readonly name: string;
  readonly format: FormatName;
  /** Outermost dimension first; the last must be whole blocks of the format. */
  readonly shape: readonly number[];
  /** The packed bytes in any number of pieces; called once, when the tensor's turn has come, if it comes. */
  readonly data: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Of a file that was begun before: what is there already, and who is told of each tensor that is whole. */
export interface Resumption {
  readonly kept: number;
  mark(): Promise<void>;
}

/**
 * Writes a whole file: metadata and tensors in the order given; `general.alignment` among the metadata is obeyed.
 * @param resumed - the first `kept` bytes are there: they end with a tensor
 * @returns bytes of the file
 * @throws {@link InputError} when a shape does not suit its format, or `data` gives more or fewer bytes than that shape
 * @example
 * await writeGGUF(sink, [["general.architecture", "string", "llama"]], [
 *   { name: "output_norm.weight", format: "F32", shape: [64], data: () => [new Uint8Array(256)] },
 * ]);
 */
export async function writeGGUF(
  sink: ByteWriter,
  metadata: Iterable<GGUFPair>,
  tensors: readonly GGUFTensor[],
  resumed: Resumption = { kept: 0, mark: async () => {} },
): Promise<number> {
  const pairs = [...metadata];
  const alignment = pairs.find(([key]) => key === alignmentKey)?.[2] ?? defaultAlignment;
  if (!isAlignment(alignment))
    throw new InputError(`${alignmentKey}: expected a power of two of at most ${largestAlignment}, found ${alignment}`);
  const aligned = (n: number) => Math.ceil(n / alignment) * alignment;
  const sizes = tensors.map(tensorBytes);
  const header = new HeaderBytes();
  header.bytes(Uint8Array.from(magic));
  header.number("u32", 3);
  header.number("u64", tensors.length);
  header.number("u64", pairs.length);
  for (const pair of pairs) header.pair(pair);
  let offset = 0;
  tensors.forEach(({ name, shape, format }, i) => {
    header.string(name);
    header.number("u32", shape.length);
    for (const dim of shape.toReversed()) header.number("u64", dim);
    header.number("u32", formats[format].id);
    header.number("u64", offset);
    offset += aligned(sizes[i]);
  });
  let end = aligned(header.length);
  if (resumed.kept === 0) await sink.write(header.join(end));
  for (const [i, tensor] of tensors.entries()) {
    end += aligned(sizes[i]);
    if (end <= resumed.kept) continue;
    let written = 0;
    for await (const piece of tensor.data()) {
      written += piece.length;
      if (written <= sizes[i]) await sink.write(piece);
    }
    if (written !== sizes[i])
      throw new InputError(
        `${showName(tensor.name)}: expected ${sizes[i]} bytes of ${tensor.format} [${tensor.shape}], found ${written}`,
      );
    if (aligned(written) > written) await sink.write(new Uint8Array(aligned(written) - written));
    await resumed.mark();
  }
  return end;
}

function tensorBytes({ name, shape, format }: GGUFTensor): number {
  const f = formats[format];
  const cols = shape.at(-1) ?? 0;
  if (shape.length > 4 || !shape.every((n) => Number.isSafeInteger(n) && n > 0) || shape.length === 0)
    throw new InputError(`${showName(name)}: expected 1 to 4 dimensions of at least 1, found [${shape}]`);
  if (cols % f.block_values !== 0)
    throw new InputError(
      `${showName(name)}: expected rows of whole ${format} blocks (${f.block_values} values), found [${shape}]`,
    );
  return shape.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(f, cols);
}

/** Collects a header piece by piece. */
class HeaderBytes {
  length = 0;
  private readonly pieces: Uint8Array[] = [];
  private readonly encoder = new TextEncoder();

  bytes(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  number(type: GGUFScalarType, value: number | bigint): void {
    this.numbers(type, [value]);
  }

  numbers(type: GGUFScalarType, values: ArrayLike<number | bigint>): void {
    const { bytes, array } = numberTypes[type]!;
    const typed = new array(new ArrayBuffer(values.length * bytes));
    const big = type === "u64" || type === "i64";
    for (let i = 0; i < values.length; i++) typed[i] = big ? BigInt(values[i]) : Number(values[i]);
    this.bytes(new Uint8Array(typed.buffer));
  }

  string(text: string): void {
    const utf8 = this.encoder.encode(text);
    this.number("u64", utf8.length);
    this.bytes(utf8);
  }

  pair([key, type, value]: GGUFPair): void {
    this.string(key);
    if (!type.endsWith("[]")) {
      this.number("u32", typeNames.indexOf(type as GGUFScalarType));
      this.values(type as GGUFScalarType, [value as number]);
      return;
    }
    const item = type.slice(0, -2) as GGUFScalarType;
    const values = value as ArrayLike<number | bigint | boolean | string>;
    this.number("u32", arrayTypeId);
    this.number("u32", typeNames.indexOf(item));
    this.number("u64", values.length);
    this.values(item, values);
  }

  private values(type: GGUFScalarType, values: ArrayLike<number | bigint | boolean | string>): void {
    if (type === "string") for (const text of Array.from(values)) this.string(text as string);
    else if (type === "bool") this.bytes(Uint8Array.from(values as ArrayLike<boolean>, Number));
    else this.numbers(type, values as ArrayLike<number | bigint>);
  }

  /** All pieces in one array of `length` bytes, zeros at the end. */
  join(length: number): Uint8Array {
    const joined = new Uint8Array(length);
    let at = 0;
    for (const piece of this.pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }
}
