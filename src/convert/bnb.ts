// bitsandbytes' matrices: from the tensors of its checkpoints, and quantized anew as it does it.
import type { Bnb4BitRecipe, BnbInt8Recipe } from "../checkpoint/packed.ts";
import { showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type BlockFormat, ownFormats, rowBytes } from "../quant/formats.ts";
import type { BnbEncodeRecipe } from "../weights/recipe.ts";
import type { PostedMatrix } from "./job.ts";
import type { Maker } from "./makers.ts";
import { ROOM, rowsAtATime } from "./pieces.ts";
import type { Workshop } from "./workshop.ts";

/** Values of a block, as they stand in memory. */
const BLOCK = 64;
const SCALES_BLOCK = 256;

type Posted<R> = Omit<R, "parts">;
const recipeOf = <R>({ recipe }: PostedMatrix): Posted<R> => recipe as unknown as Posted<R>;

/** The places [from, to) of a list's entries that belong to values [first, end), a block of 2^shift values to an entry. */
const places = (first: number, end: number, blocksize: number): [from: number, to: number] => [
  Math.floor(first / blocksize),
  Math.ceil(end / blocksize),
];

export const bnb4Bit: Maker<Bnb4BitRecipe> = {
  rows: rowsAtATime,
  bytes(matrix) {
    const { cols, format, recipe } = matrix;
    const values = rowsAtATime(matrix) * cols;
    const scales = 9 * (values / recipe.blocksize + 2);
    return values / 2 + scales + rowsAtATime(matrix) * rowBytes(format, cols) + 64 + 1024 + ROOM;
  },
  make(shop, matrix, from, to) {
    const { cols, format, recipe } = matrix;
    const { blocksize, map } = recipeOf<Bnb4BitRecipe>(matrix);
    const { bnb } = shop.converters;
    const [first, end] = [from * cols, to * cols];
    const codes = shop.read(recipe.parts[0], Math.floor(first / 2), Math.ceil(end / 2));
    const absmax = readScales(shop, matrix, first, end);
    const out = shop.take((to - from) * rowBytes(format, cols));
    const shift = Math.log2(blocksize);
    if (format.name !== "F32") {
      bnb.blocks(codes, absmax, shift, first, (end - first) / BLOCK, out);
      return out;
    }
    const table = shop.take(64);
    shop.floats(table, 16).set(map);
    bnb.decode(codes, absmax, table, shift, first, end - first, out);
    return out;
  },
};

/** The scales, f32, of the blocks that values [first, end) are in. */
function readScales(shop: Workshop, matrix: PostedMatrix, first: number, end: number): number {
  const { parts } = matrix.recipe;
  const { blocksize, nested } = recipeOf<Bnb4BitRecipe>(matrix);
  const [from, to] = places(first, end, blocksize);
  if (!nested) return shop.read(parts[1], 4 * from, 4 * to);
  const codes = shop.read(parts[1], from, to);
  const [low, high] = places(from, to, nested.blocksize);
  const scales = shop.read(parts[2], 4 * low, 4 * high);
  const map = shop.read(parts[3], 0, 1024);
  const out = shop.take(4 * (to - from));
  shop.converters.bnb.scales(codes, scales, map, Math.log2(nested.blocksize), nested.offset, from, to - from, out);
  return out;
}

export const bnbInt8: Maker<BnbInt8Recipe> = {
  rows: rowsAtATime,
  bytes: (matrix) => rowsAtATime(matrix) * (2 * matrix.cols + 8) + ROOM,
  make(shop, { cols, recipe }, from, to) {
    const codes = shop.read(recipe.parts[0], from * cols, to * cols);
    const scales = shop.read(recipe.parts[1], 4 * from, 4 * to);
    const row = rowBytes(ownFormats.BNB_INT8, cols);
    const out = shop.take((to - from) * row);
    for (let r = 0; r < to - from; r++) {
      shop.bytes.copyWithin(out + r * row, scales + 4 * r, scales + 4 * r + 4);
      shop.bytes.copyWithin(out + r * row + 4, codes + r * cols, codes + (r + 1) * cols);
    }
    return out;
  },
};

/** Blocks that rows [from, to) touch: their first, and how many. A block goes from a row to the next where rows are not whole ones. */
function blocksAround(
  matrix: { rows: number; cols: number },
  from: number,
  to: number,
): [first: number, count: number] {
  const [first, end] = places(from * matrix.cols, to * matrix.cols, BLOCK);
  return [first, end - first];
}

export const bnbEncode: Maker<BnbEncodeRecipe> = {
  // A matrix's scales are quantized together.
  rows: (matrix) => (matrix.recipe.double ? matrix.rows : rowsAtATime(matrix)),
  bytes(matrix) {
    const { rows, cols, format, recipe } = matrix;
    const values = rowsAtATime(matrix) * cols + 2 * BLOCK;
    const read = values * (recipe.from.block_bytes + 4);
    if (recipe.type === "int8") return read + rowsAtATime(matrix) * rowBytes(format, cols) + ROOM;
    const made = recipe.double ? rows * cols + 2 * BLOCK : values;
    const scales = recipe.double ? 6 * (made / BLOCK) + 1024 : 0;
    const decoded = format.name === "F32" ? 4 * made : 0;
    return read + (made / BLOCK) * ownFormats.BNB_NF4.block_bytes + scales + decoded + ROOM;
  },
  make(shop, matrix, from, to) {
    const { cols, format } = matrix;
    const { type, double } = recipeOf<BnbEncodeRecipe>(matrix);
    if (type === "int8") return encodeInt8(shop, matrix, from, to);
    const [first, count] = blocksAround(matrix, from, to);
    const blocks = shop.take(count * ownFormats.BNB_NF4.block_bytes);
    encodeBlocks(shop, matrix, type, blocks, first, count);
    if (double) quantizeScales(shop, blocks, count);
    if (format.name !== "F32") return blocks;
    // Rows that are no whole blocks are of the values that the blocks stand for.
    const values = shop.take(4 * count * BLOCK);
    const packed: BlockFormat = type === "nf4" ? ownFormats.BNB_NF4 : ownFormats.BNB_FP4;
    shop.kernels.format(packed).dequantize(blocks, values, count * BLOCK);
    return values + 4 * (from * cols - first * BLOCK);
  },
};

function encodeInt8(shop: Workshop, matrix: PostedMatrix, from: number, to: number): number {
  const { cols, format } = matrix;
  const values = readValues(shop, matrix, from * cols, to * cols);
  const out = shop.take((to - from) * rowBytes(format, cols));
  const odd = shop.converters.quantize(format)(values, 0, out, to - from, cols);
  if (odd) throw refuse(matrix, from + odd - 1, "numbers that float16 has");
  return out;
}

/** Encodes `count` blocks of a matrix from block `first` on, some at a time: the room for their values is used again. */
function encodeBlocks(
  shop: Workshop,
  matrix: PostedMatrix,
  type: "nf4" | "fp4",
  blocks: number,
  first: number,
  count: number,
): void {
  const { rows, cols } = matrix;
  const at_once = Math.max(1, Math.floor((rowsAtATime(matrix) * cols) / BLOCK));
  for (let b = 0; b < count; b += at_once) {
    const begin = (first + b) * BLOCK;
    const end = Math.min(begin + Math.min(at_once, count - b) * BLOCK, rows * cols);
    shop.again(() => {
      const values = readValues(shop, matrix, begin, end);
      const to = blocks + b * ownFormats.BNB_NF4.block_bytes;
      if (shop.converters.bnb.encode(type)(values, to, end - begin))
        throw refuse(matrix, Math.floor(begin / cols), "finite numbers");
    });
  }
}

/** The scales of all blocks become those that their quantized ones stand for. */
function quantizeScales(shop: Workshop, blocks: number, count: number): void {
  const { bnb } = shop.converters;
  const scales = shop.take(4 * count);
  const codes = shop.take(count);
  const nested = shop.take(4 * Math.ceil(count / SCALES_BLOCK));
  const map = shop.take(1024);
  bnb.take_scales(blocks, count, scales);
  const offset = bnb.quantize_scales(scales, count, codes, nested, map);
  bnb.scales(codes, nested, map, Math.log2(SCALES_BLOCK), offset, 0, count, scales);
  bnb.put_scales(blocks, count, scales);
}

/** Values [begin, end) of a matrix in a float format, as f32. */
function readValues(shop: Workshop, matrix: PostedMatrix, begin: number, end: number): number {
  const { from } = recipeOf<BnbEncodeRecipe>(matrix);
  const source = shop.read(matrix.recipe.parts[0], begin * from.block_bytes, end * from.block_bytes);
  const values = shop.take(4 * (end - begin));
  shop.kernels.format(from).dequantize(source, values, end - begin);
  return values;
}

const refuse = ({ name }: PostedMatrix, row: number, expected: string) =>
  new CheckpointError(`${showName(name)}: expected ${expected} to quantize, found others in or behind row ${row}`);
