// Checkpoints of GPTQ, AWQ and compressed-tensors: of each quantized matrix its codes, and of each group of a row's inputs a
// scale and a zero: value = scale · (code − zero). Which matrices are quantized, the tensors say; how, config.json.
// Source: GPTQModel, AutoAWQ, compressed-tensors; fixtures/gptq_awq has their formulae.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type BlockFormat, formats, ownFormats } from "../quant/formats.ts";
import type { FilePart, GroupedRecipe, PackedMatrix } from "./packed.ts";
import type { SafetensorsEntry } from "./safetensors.ts";

type Entries = ReadonlyMap<string, SafetensorsEntry>;
type Settings = Readonly<Record<string, unknown>>;

/** Reads the quantized matrices of a checkpoint, by the names that they would have. */
export type PackedReader = (entries: Entries) => Promise<Map<string, PackedMatrix>>;

/** More inputs than any matrix has: sums of their products fit 32 bits. */
const MOST_COLS = 2 ** 17;

const fail = (where: string, name: string, expected: string, found: unknown) =>
  new CheckpointError(`${where}: quantization_config.${name}: expected ${expected}, found ${show(found)}`);

/**
 * @param where - the file that the settings are in, for messages
 * @throws {@link CheckpointError} when a setting is one that this version does not know
 */
export function gptqReader(settings: Settings, where: string): PackedReader {
  const { bits, desc_act = false, checkpoint_format = "gptq", dynamic, group_size } = settings;
  if (![2, 3, 4, 8].includes(bits as number)) throw fail(where, "bits", "2, 3, 4 or 8", bits);
  if (checkpoint_format !== "gptq" && checkpoint_format !== "gptq_v2")
    throw fail(where, "checkpoint_format", '"gptq" or "gptq_v2"', checkpoint_format);
  if (dynamic && Object.keys(dynamic as object).length)
    throw fail(where, "dynamic", "one setting for all modules", dynamic);
  checkGroupSize(group_size, where);
  return readAll(".qweight", async (entries, module) => {
    const [words, out] = shapeOf(need(entries, `${module}.qweight`, "I32", 2));
    const n = (words * 32) / (bits as number);
    const scales = needScales(entries, `${module}.scales`, module);
    const [groups] = shapeOf(scales, [null, out]);
    const zeros = need(entries, `${module}.qzeros`, "I32", 2, [groups, (out * (bits as number)) / 32]);
    const index = entries.has(`${module}.g_idx`) ? need(entries, `${module}.g_idx`, "I32", 1, [n]) : undefined;
    return packed(module, entries.get(`${module}.qweight`)!, [out, n], {
      layout: "gptq",
      bits: bits as number,
      groups,
      group_size,
      scales,
      zeros,
      add: checkpoint_format === "gptq" ? 1 : 0,
      // The index of inputs in their order says nothing, and its maker looks whether it is one.
      index: index && (desc_act || groups > 1) ? index : undefined,
      in_order: !desc_act,
    });
  });
}

/** @throws {@link CheckpointError} as above */
export function awqReader(settings: Settings, where: string): PackedReader {
  const bits = settings.bits ?? settings.w_bit;
  const group_size = settings.group_size ?? settings.q_group_size;
  const version = settings.version ?? settings.format ?? settings.checkpoint_format ?? "gemm";
  if (bits !== 4) throw fail(where, "bits", "4", bits);
  if (String(version).toLowerCase() !== "gemm") throw fail(where, "version", '"gemm"', version);
  checkGroupSize(group_size, where);
  return readAll(".qweight", async (entries, module) => {
    const codes = need(entries, `${module}.qweight`, "I32", 2);
    const [n, words] = shapeOf(codes);
    const out = words * 8;
    const scales = needScales(entries, `${module}.scales`, module);
    const [groups] = shapeOf(scales, [null, out]);
    const zeros = need(entries, `${module}.qzeros`, "I32", 2, [groups, words]);
    return packed(module, codes, [out, n], { layout: "awq", bits: 4, groups, group_size, scales, zeros, add: 0 });
  });
}

/** @throws {@link CheckpointError} as above */
export function compressedReader(settings: Settings, where: string): PackedReader {
  const { format } = settings;
  if (format === "int-quantized") return readAll(".weight_scale", readInt8);
  if (format !== "pack-quantized") throw fail(where, "format", '"pack-quantized" or "int-quantized"', format);
  return readAll(".weight_packed", async (entries, module) => {
    const codes = need(entries, `${module}.weight_packed`, "I32", 2);
    const [out, words] = shapeOf(codes);
    const shape = new BigInt64Array(16);
    const size = need(entries, `${module}.weight_shape`, "I64", 1, [2]);
    await size.file.read(size.offset, new Uint8Array(shape.buffer, 0, 16));
    const n = Number(shape[1]);
    const bits = (words * 32) / n;
    if (Number(shape[0]) !== out || ![2, 4, 8].includes(bits))
      throw new CheckpointError(
        `${showName(size.name)}: expected [${out}, inputs] with 2, 4 or 8 bits each, found [${shape[0]}, ${shape[1]}] in ${fileName(size.file.path)}`,
      );
    const scales = needScales(entries, `${module}.weight_scale`, module);
    const [, groups] = shapeOf(scales, [out, null]);
    const point = `${module}.weight_zero_point`;
    const zeros = entries.has(point)
      ? need(entries, point, "I32", 2, [Math.ceil((out * bits) / 32), groups])
      : undefined;
    const order = `${module}.weight_g_idx`;
    const index = entries.has(order) ? need(entries, order, "I32", 1, [n]) : undefined;
    // Codes and zeros are both stored without the sign: what that takes from the one it takes from the other.
    const add = zeros ? 0 : 2 ** (bits - 1);
    return packed(module, codes, [out, n], {
      layout: "rows",
      bits,
      groups,
      scales,
      zeros,
      add,
      index,
      in_order: false,
    });
  });
}

/** int8 as it is, with a scale for each row or group. */
async function readInt8(entries: Entries, module: string): Promise<PackedMatrix> {
  const codes = need(entries, `${module}.weight`, "I8", 2);
  const [out, n] = shapeOf(codes);
  const scales = needScales(entries, `${module}.weight_scale`, module);
  const [, groups] = shapeOf(scales, [out, null]);
  if (entries.has(`${module}.weight_zero_point`))
    throw new CheckpointError(`${showName(module)}.weight_zero_point: expected symmetric codes, which have none`);
  return packed(module, codes, [out, n], { layout: "int8", bits: 8, groups, scales, add: 128 });
}

function readAll(suffix: string, read: (entries: Entries, module: string) => Promise<PackedMatrix>): PackedReader {
  return async (entries) => {
    const found = new Map<string, PackedMatrix>();
    for (const name of entries.keys()) {
      if (!name.endsWith(suffix)) continue;
      const module = name.slice(0, -suffix.length);
      found.set(`${module}.weight`, await read(entries, module));
    }
    return found;
  };
}

interface Parts {
  readonly layout: GroupedRecipe["layout"];
  readonly bits: number;
  readonly groups: number;
  /** That the settings tell. */
  readonly group_size?: unknown;
  readonly scales: SafetensorsEntry;
  readonly zeros?: SafetensorsEntry | undefined;
  readonly add: number;
  readonly index?: SafetensorsEntry | undefined;
  /** Whether the index has to be that of inputs in their order. */
  readonly in_order?: boolean;
}

async function packed(
  module: string,
  codes: SafetensorsEntry,
  [rows, cols]: readonly [rows: number, cols: number],
  { layout, bits, groups, group_size, scales, zeros, add, index, in_order }: Parts,
): Promise<PackedMatrix> {
  const where = `in ${fileName(codes.file.path)}`;
  if (!Number.isInteger(cols) || cols > MOST_COLS || rows % 8 !== 0)
    throw new CheckpointError(
      `${showName(codes.name)}: expected at most ${MOST_COLS} inputs of whole words, and outputs by eights, found ${typeOf(codes)} ${where}`,
    );
  const group = cols / groups;
  const wanted = group_size === undefined || group_size === -1 ? group : (group_size as number);
  // A last group may be shorter.
  if (
    !Number.isInteger(group) ||
    (group_size === -1 ? groups !== 1 : wanted !== group && groups !== Math.ceil(cols / wanted))
  )
    throw new CheckpointError(
      `${showName(scales.name)}: expected scales for ${cols} inputs in groups of ${show(group_size ?? "one size")}, found ${typeOf(scales)} ${where}`,
    );
  const order = index && groups > 1 ? await readIndex(index, groups, group) : "in order";
  if (order !== "in order" && in_order)
    throw new CheckpointError(
      `${showName(index!.name)}: expected inputs in their order, as desc_act: false says, found another ${where}`,
    );
  const reordered = order !== "in order";
  const recipe: GroupedRecipe = {
    maker: "grouped",
    layout,
    bits,
    groups,
    scale_format: scales.dtype as "F32" | "F16" | "BF16",
    add,
    zeros: zeros !== undefined,
    reordered,
    parts: [codes, scales, ...(zeros ? [zeros] : []), ...(reordered ? [index!] : [])].map(partOf),
  };
  return {
    name: `${module}.weight`,
    format: formatFor(bits, cols, group, groups, reordered),
    shape: [rows, cols],
    recipe,
  };
}

/**
 * What a matrix is made as: exactly, where its groups are whole blocks. Where neighbours are of other groups, no block has one
 * scale: it is decoded and encoded as Q8_0, or stays what it decodes to.
 */
function formatFor(bits: number, cols: number, group: number, groups: number, reordered: boolean): BlockFormat {
  if (reordered) return cols % 32 === 0 ? formats.Q8_0 : formats.F32;
  if (cols % 128 !== 0 || (group % 32 !== 0 && groups > 1)) return formats.F32;
  if (bits === 8) return ownFormats.INT8_32;
  return groups === 1 || group % 128 === 0 ? ownFormats.INT4_128 : ownFormats.INT4_32;
}

/** Whether an index is that of inputs in their order. @throws {@link CheckpointError} when it names a group that there is not */
async function readIndex(index: SafetensorsEntry, groups: number, group: number): Promise<"in order" | "another"> {
  const bytes = new Uint8Array(index.bytes);
  await index.file.read(index.offset, bytes);
  const list = new Int32Array(bytes.buffer);
  const bad = list.find((g) => g < 0 || g >= groups);
  if (bad !== undefined)
    throw new CheckpointError(
      `${showName(index.name)}: expected groups below ${groups}, found ${bad} in ${fileName(index.file.path)}`,
    );
  return list.every((g, i) => g === Math.floor(i / group)) ? "in order" : "another";
}

function checkGroupSize(size: unknown, where: string): void {
  if (size === undefined || size === -1) return;
  if (!Number.isInteger(size) || (size as number) < 8 || (size as number) > MOST_COLS)
    throw fail(where, "group_size", "-1 or a number of inputs", size);
}

const typeOf = ({ dtype, shape }: SafetensorsEntry): string => `${dtype} [${shape.join(", ")}]`;
const partOf = ({ file, offset, bytes }: SafetensorsEntry): FilePart => ({ file, offset, bytes });

function needScales(entries: Entries, name: string, module: string): SafetensorsEntry {
  const entry = entries.get(name);
  if (entry && ["F16", "BF16", "F32"].includes(entry.dtype) && entry.shape.length === 2) return entry;
  throw new CheckpointError(
    `${showName(name)}: ${entry ? "" : "missing; "}expected F16, BF16 or F32 of two dimensions${entry ? `, found ${typeOf(entry)} in ${fileName(entry.file.path)}` : ` beside the codes of ${showName(module)}`}`,
  );
}

/** A tensor of a type and a number of dimensions, and a shape where one is told. */
function need(
  entries: Entries,
  name: string,
  dtype: string,
  dimensions: number,
  shape?: readonly number[],
): SafetensorsEntry {
  const entry = entries.get(name);
  if (
    entry?.dtype === dtype &&
    entry.shape.length === dimensions &&
    (!shape || shape.every((n, i) => n === entry.shape[i])) &&
    entry.shape.every((n) => n > 0)
  )
    return entry;
  const expected = `${dtype} ${shape ? `[${shape.join(", ")}]` : `of ${dimensions} dimensions`}`;
  throw new CheckpointError(
    `${showName(name)}: ${entry ? "" : "missing; "}expected ${expected}${entry ? `, found ${typeOf(entry)} in ${fileName(entry.file.path)}` : ""}`,
  );
}

/** @param expected - of each dimension, null: any */
function shapeOf(
  entry: SafetensorsEntry,
  expected: readonly [number | null, number | null] = [null, null],
): readonly [number, number] {
  const [a, b] = entry.shape;
  if ((expected[0] ?? a) === a && (expected[1] ?? b) === b && a > 0 && b > 0) return [a, b];
  throw new CheckpointError(
    `${showName(entry.name)}: expected [${expected.map((n) => n ?? "groups").join(", ")}], found ${typeOf(entry)} in ${fileName(entry.file.path)}`,
  );
}
