// One matrix of codes with scales for groups of inputs: its tensors checked against each other, what it is made as, and the
// order of its columns there.
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type BlockFormat, formats, ownFormats } from "../quant/formats.ts";
import type { FilePart, GroupedRecipe, PackedMatrix } from "./packed.ts";
import type { SafetensorsEntry } from "./safetensors.ts";

/** More inputs than any matrix has: sums of their products fit 32 bits. */
export const MOST_COLS = 2 ** 17;

/** The tensors of a matrix, and what they mean. */
export interface CodeGroups extends Pick<GroupedRecipe, "layout" | "bits" | "groups" | "add"> {
  readonly codes: SafetensorsEntry;
  readonly shape: readonly [rows: number, cols: number];
  /** Inputs of a group, -1: all of a row, where the settings tell; else as many as there are groups for. */
  readonly group_size?: number | undefined;
  readonly scales: SafetensorsEntry;
  readonly zeros?: SafetensorsEntry | undefined;
  /** The inputs' groups. */
  readonly index?: SafetensorsEntry | undefined;
  /** Whether the index has to be that of inputs in their order. */
  readonly in_order?: boolean;
}

const floats = "F16 or BF16 or F32";

export const typeOf = ({ dtype, shape }: SafetensorsEntry): string => `${dtype} [${shape.join(", ")}]`;

/** The tensors of a checkpoint, asked for by name and type. A size that is null in a shape may be any but 0. */
export class Entries {
  readonly all: ReadonlyMap<string, SafetensorsEntry>;

  constructor(all: ReadonlyMap<string, SafetensorsEntry>) {
    this.all = all;
  }

  /** @throws {@link CheckpointError} when it is missing or another */
  need(name: string, dtypes: string, shape: readonly (number | null)[]): SafetensorsEntry {
    const entry = this.all.get(name);
    const fits =
      entry &&
      dtypes.split(" or ").includes(entry.dtype) &&
      entry.shape.length === shape.length &&
      shape.every((n, i) => n === entry.shape[i] || (n === null && entry.shape[i] > 0));
    if (fits) return entry;
    const found = entry ? `, found ${typeOf(entry)} in ${fileName(entry.file.path)}` : "";
    const sizes = shape.map((n) => n ?? "any").join(", ");
    throw new CheckpointError(`${showName(name)}: ${entry ? "" : "missing; "}expected ${dtypes} [${sizes}]${found}`);
  }

  optional(name: string, dtypes: string, shape: readonly (number | null)[]): SafetensorsEntry | undefined {
    return this.all.has(name) ? this.need(name, dtypes, shape) : undefined;
  }

  scales(name: string, shape: readonly (number | null)[]): SafetensorsEntry {
    return this.need(name, floats, shape);
  }

  async read({ file, offset, bytes }: SafetensorsEntry): Promise<Uint8Array<ArrayBuffer>> {
    const target = new Uint8Array(bytes);
    await file.read(offset, target);
    return target;
  }

  /**
   * Older writers give every matrix a bias; no model of this family has one.
   * @throws {@link CheckpointError} when it is not all zeros
   */
  async zeroBias(module: string, rows: number): Promise<void> {
    const bias = this.optional(`${module}.bias`, floats, [rows]);
    if (bias && (await this.read(bias)).some((byte) => (byte & 0x7f) !== 0))
      throw new CheckpointError(
        `${showName(bias.name)}: no model of this family has a bias there, and its effect would be lost: found ${typeOf(bias)} in ${fileName(bias.file.path)}`,
      );
  }
}

/** How many orders are compared with: those of matrices beside each other in a file. */
const RECENT = 8;

/** Orders of columns, each once: matrices that were quantized with the same inputs have the same. */
export class Orders {
  private readonly entries: Entries;
  private recent: Uint32Array[] = [];

  constructor(entries: Entries) {
    this.entries = entries;
  }

  /**
   * The order in which each group's columns stand together; undefined where they do already.
   * @param group - columns of a group
   * @throws {@link CheckpointError} when an input has a group that there is not
   */
  async read(index: SafetensorsEntry, groups: number, group: number): Promise<Uint32Array | "unequal" | undefined> {
    const list = new Int32Array((await this.entries.read(index)).buffer);
    const bad = list.find((g) => g < 0 || g >= groups);
    if (bad !== undefined)
      throw new CheckpointError(
        `${showName(index.name)}: expected groups below ${groups}, found ${bad} in ${fileName(index.file.path)}`,
      );
    if (list.every((g, i) => g === Math.floor(i / group))) return undefined;
    const order = columnOrder(list, groups);
    if (!order.every((from, i) => list[from] === Math.floor(i / group))) return "unequal";
    const same = this.recent.find((other) => other.length === order.length && other.every((n, i) => n === order[i]));
    if (same) return same;
    this.recent = [order, ...this.recent.slice(0, RECENT - 1)];
    return order;
  }
}

/** The inputs of group 0, then those of group 1, and so on, each group's in their own order. */
export function columnOrder(list: ArrayLike<number>, groups: number): Uint32Array {
  const next = new Uint32Array(groups + 1);
  for (let i = 0; i < list.length; i++) next[list[i] + 1]++;
  for (let g = 0; g < groups; g++) next[g + 1] += next[g];
  const order = new Uint32Array(list.length);
  for (let i = 0; i < list.length; i++) order[next[list[i]]++] = i;
  return order;
}

/** @throws {@link CheckpointError} when the tensors do not belong together */
export async function packedMatrix(name: string, parts: CodeGroups, orders: Orders): Promise<PackedMatrix> {
  const { codes, shape, layout, bits, groups, add, group_size, scales, zeros, index, in_order } = parts;
  const cols = shape[1];
  const where = `in ${fileName(codes.file.path)}`;
  if (cols > MOST_COLS)
    throw new CheckpointError(
      `${showName(codes.name)}: expected at most ${MOST_COLS} inputs, found ${typeOf(codes)} ${where}`,
    );
  const group = group_size === -1 ? cols : (group_size ?? cols / groups);
  // A last group may be shorter.
  if (!Number.isInteger(group) || groups !== Math.ceil(cols / group))
    throw new CheckpointError(
      `${showName(scales.name)}: expected scales for ${cols} inputs in groups of ${group_size ?? "one size"}, found ${typeOf(scales)} ${where}`,
    );
  // The index of one group says nothing.
  const order = index && groups > 1 ? await orders.read(index, groups, group) : undefined;
  if (order && in_order)
    throw new CheckpointError(
      `${showName(index!.name)}: expected inputs in their order, as desc_act: false says, found another ${where}`,
    );
  const reordered = order !== undefined;
  const recipe: GroupedRecipe = {
    maker: "grouped",
    layout,
    bits,
    group,
    groups,
    scale_format: scales.dtype as "F32" | "F16" | "BF16",
    add,
    zeros: zeros !== undefined,
    reordered,
    parts: [codes, scales, ...(zeros ? [zeros] : []), ...(reordered ? [index!] : [])].map(partOf),
  };
  const format = order === "unequal" ? formats.F32 : formatFor(bits, cols, group);
  return { name, format, shape, recipe, ...(order && format !== formats.F32 ? { order: order as Uint32Array } : {}) };
}

/** What a matrix is made as: where its groups are no whole blocks' values, as those that they stand for. */
function formatFor(bits: number, cols: number, group: number): BlockFormat {
  if (cols % 128 !== 0 || group % 32 !== 0) return formats.F32;
  const { INT4_32, INT4_128, INT8_32, INT8_128 } = ownFormats;
  const [of32, of128] = bits === 8 ? [INT8_32, INT8_128] : [INT4_32, INT4_128];
  return group % 128 === 0 ? of128 : of32;
}

const partOf = ({ file, offset, bytes }: SafetensorsEntry): FilePart => ({ file, offset, bytes });
