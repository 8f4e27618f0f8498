// bitsandbytes' checkpoints: of each quantized matrix the codes under its name, and what they mean in tensors beside them.
// All of these are checked here, and of their data the small ones read. Which matrices are quantized, the tensors say.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type BlockFormat, formats, MOST_INT8_COLS, ownFormats } from "../quant/formats.ts";
import { parseJSONObject } from "./json.ts";
import type { FilePart, PackedMatrix } from "./packed.ts";
import type { SafetensorsEntry } from "./safetensors.ts";

type Entries = ReadonlyMap<string, SafetensorsEntry>;

/** A quant_state is some hundred bytes. */
const STATE_BYTES = 2 ** 16;

/** (type) what its codes stand for. Source: bitsandbytes; cpp/bnb_tables.h has them, too. */
const maps = {
  nf4: [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
  ],
  fp4: [
    0, 0.0052083334885537624, 0.6666666865348816, 1, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25, 0,
    -0.0052083334885537624, -0.6666666865348816, -1, -0.3333333432674408, -0.5, -0.1666666716337204, -0.25,
  ],
} as const;

type QuantType = keyof typeof maps;
const tableFormats: Readonly<Record<QuantType, BlockFormat>> = { nf4: ownFormats.BNB_NF4, fp4: ownFormats.BNB_FP4 };

const stateName = (name: string, type: QuantType) => `${name}.quant_state.bitsandbytes__${type}`;
const beside4Bit = /\.(?:absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+)$/;
const besideInt8 = /\.(?:SCB|weight_format)$/;

/**
 * The quantized matrices of a checkpoint, by the names of their codes.
 * @throws {@link CheckpointError} when a tensor of theirs is missing, or not what it should be
 */
export async function readBnb(entries: Entries): Promise<Map<string, PackedMatrix>> {
  const found = new Map<string, PackedMatrix>();
  for (const entry of entries.values()) {
    const { name } = entry;
    const of4Bit = beside4Bit.exec(name);
    const ofInt8 = besideInt8.exec(name);
    if (of4Bit) {
      const owner = name.slice(0, of4Bit.index);
      if (!found.has(owner)) found.set(owner, await read4Bit(entries, owner, entry));
    } else if (ofInt8) {
      const owner = `${name.slice(0, ofInt8.index)}.weight`;
      if (!found.has(owner)) found.set(owner, await readInt8(entries, owner));
    }
  }
  return found;
}

/** @param beside - one of its tensors, by which it was found */
async function read4Bit(entries: Entries, name: string, beside: SafetensorsEntry): Promise<PackedMatrix> {
  const types = (Object.keys(maps) as QuantType[]).filter((type) => entries.has(stateName(name, type)));
  if (types.length !== 1)
    throw new CheckpointError(
      `${showName(name)}: expected ${types.length ? "one" : "a"} quant_state.bitsandbytes__nf4 or __fp4 beside ${showName(beside.name)}, found ${types.length ? "both" : "none"} in ${fileName(beside.file.path)}`,
    );
  const [type] = types;
  const entry = entries.get(stateName(name, type))!;
  const state = await readState(entry, type);
  const { blocksize, shape, nested } = state;
  const count = shape[0] * shape[1];
  const blocks = Math.ceil(count / blocksize);
  const codes = need(entries, name, null, Math.ceil(count / 2), entry);
  const absmax = need(entries, `${name}.absmax`, nested ? "U8" : "F32", blocks * (nested ? 1 : 4), entry);
  const read = await readFloats(need(entries, `${name}.quant_map`, "F32", 64, entry));
  const parts = [codes, absmax].map(partOf) as [FilePart, FilePart];
  // -0 and 0 are one value.
  const known = maps[type].every((value, i) => value === read[i]);
  const blocked = known && blocksize % 64 === 0 && shape[1] % 64 === 0;
  const common = { maker: "bnb_4bit", blocksize, map: [...read] } as const;
  const matrix = { name, shape, format: blocked ? tableFormats[type] : formats.F32 };
  if (!nested) return { ...matrix, recipe: { ...common, parts } };
  const scales = need(entries, `${name}.nested_absmax`, "F32", 4 * Math.ceil(blocks / nested.blocksize), entry);
  const map = need(entries, `${name}.nested_quant_map`, "F32", 1024, entry);
  return { ...matrix, recipe: { ...common, parts: [...parts, partOf(scales), partOf(map)], nested } };
}

interface State {
  readonly blocksize: number;
  readonly shape: readonly [rows: number, cols: number];
  readonly nested?: { readonly blocksize: number; readonly offset: number };
}

const isSize = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) <= 2 ** 24;

/** A power of two, as the library's blocks are. */
const isBlocksize = (value: unknown): value is number =>
  isSize(value) && value <= 2 ** 16 && Number.isInteger(Math.log2(value));

async function readState(entry: SafetensorsEntry, type: QuantType): Promise<State> {
  const where = `${showName(entry.name)} in ${fileName(entry.file.path)}`;
  if (entry.dtype !== "U8" || entry.bytes > STATE_BYTES)
    throw new CheckpointError(`${where}: expected U8, at most ${STATE_BYTES}, found ${typeOf(entry)}`);
  const bytes = new Uint8Array(entry.bytes);
  await entry.file.read(entry.offset, bytes);
  const state = parseJSONObject(bytes, where);
  const fail = (field: string, expected: string) =>
    new CheckpointError(`${where}: ${field}: expected ${expected}, found ${show(state[field])}`);
  const { quant_type, blocksize, shape, nested_blocksize, nested_offset } = state;
  if (quant_type !== type) throw fail("quant_type", `"${type}"`);
  if (!isBlocksize(blocksize)) throw fail("blocksize", "a power of two up to 65536");
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(isSize)) throw fail("shape", "[rows, columns]");
  const size: State = { blocksize, shape: [shape[0], shape[1]] };
  if (nested_blocksize === undefined && nested_offset === undefined) return size;
  if (!isBlocksize(nested_blocksize)) throw fail("nested_blocksize", "a power of two up to 65536");
  if (!Number.isFinite(nested_offset)) throw fail("nested_offset", "a number");
  return { ...size, nested: { blocksize: nested_blocksize, offset: Math.fround(nested_offset as number) } };
}

async function readInt8(entries: Entries, name: string): Promise<PackedMatrix> {
  const module = name.slice(0, -".weight".length);
  const [scales, format] = [entries.get(`${module}.SCB`), entries.get(`${module}.weight_format`)];
  const beside = (scales ?? format)!;
  const codes = need(entries, name, "I8", null, beside);
  const [rows, cols] = codes.shape;
  if (codes.shape.length !== 2 || rows === 0 || cols === 0 || cols > MOST_INT8_COLS)
    throw new CheckpointError(
      `${showName(name)}: expected I8 of rows and up to ${MOST_INT8_COLS} columns, found ${typeOf(codes)} in ${fileName(codes.file.path)}`,
    );
  const checked = need(entries, `${module}.SCB`, "F32", 4 * rows, beside);
  if (format) {
    const [order] = await readBytes(need(entries, format.name, "U8", 1, beside));
    if (order !== 0)
      throw new CheckpointError(
        `${showName(format.name)}: expected 0, rows as they are, found ${order}: another order of a GPU's in ${fileName(format.file.path)}`,
      );
  }
  const recipe = { maker: "bnb_int8", parts: [partOf(codes), partOf(checked)] } as const;
  return { name, format: ownFormats.BNB_INT8, shape: [rows, cols], recipe };
}

/** A tensor, if it has the type and the bytes; null: any. */
function need(
  entries: Entries,
  name: string,
  dtype: string | null,
  bytes: number | null,
  beside: SafetensorsEntry,
): SafetensorsEntry {
  const entry = entries.get(name);
  if (entry && (dtype === null || entry.dtype === dtype) && (bytes === null || entry.bytes === bytes)) return entry;
  const expected = [dtype, bytes === null ? null : `${bytes} bytes`].filter((part) => part !== null).join(", ");
  throw new CheckpointError(
    `${showName(name)}: ${entry ? "" : "missing; "}expected ${expected} by ${showName(beside.name)}${entry ? `, found ${typeOf(entry)}` : ""} in ${fileName((entry ?? beside).file.path)}`,
  );
}

const typeOf = ({ dtype, shape }: SafetensorsEntry): string => `${dtype} [${shape.join(", ")}]`;
const partOf = ({ file, offset, bytes }: SafetensorsEntry): FilePart => ({ file, offset, bytes });

async function readBytes({ file, offset, bytes }: SafetensorsEntry): Promise<Uint8Array> {
  const read = new Uint8Array(bytes);
  await file.read(offset, read);
  return read;
}

const readFloats = async (entry: SafetensorsEntry) => new Float32Array((await readBytes(entry)).buffer);
