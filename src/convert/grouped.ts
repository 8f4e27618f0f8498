// Matrices of GPTQ, AWQ and compressed-tensors: codes out of the checkpoint's words, into blocks of a format with products,
// some rows at a time, because neighbouring rows share words.
import { columnOrder } from "../checkpoint/grouped_matrix.ts";
import type { GroupedRecipe } from "../checkpoint/packed.ts";
import { groupedArgs } from "../kernels/convert.ts";
import { writeStruct } from "../kernels/structs.ts";
import { formats, rowBytes } from "../quant/formats.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import type { PostedMatrix } from "./job.ts";
import type { Maker } from "./makers.ts";
import { ROOM } from "./pieces.ts";
import type { Workshop } from "./workshop.ts";

type PostedRecipe = Omit<GroupedRecipe, "parts">;

/** Rows whose codes are taken out at a time. */
const LINE = 16;

/** Rows of AWQ whose words are cut out at a time. */
const CUT = 128;

/** Bytes that lines are read beyond the words of the last rows, at most. */
const BEYOND = LINE * 4;

export const grouped: Maker<GroupedRecipe> = {
  rows: ({ rows }) => rows,
  bytes({ rows, cols, format, recipe }: MadeMatrix & { readonly recipe: GroupedRecipe }) {
    const { groups, parts } = recipe;
    const read = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    const scales = (rows + LINE) * groups * (4 + 1) + LINE * Math.max(rows, groups);
    const columns = (LINE + 4 + CUT / 2) * cols;
    return read + scales + columns + rows * rowBytes(format, cols) + BEYOND + 2 * ROOM;
  },
  make(shop, matrix, from, to) {
    const { rows, cols, format } = matrix;
    const recipe = matrix.recipe as unknown as PostedRecipe;
    const { layout, groups, group, add } = recipe;
    const parts = matrix.recipe.parts.map((part) => shop.read(part, 0, part.bytes));
    const scale = readScales(shop, recipe, parts[1], rows);
    const zero = recipe.zeros ? takeZeros(shop, recipe, parts[2], rows) : 0;
    const order = recipe.reordered ? readOrder(shop, matrix, parts[parts.length - 1]) : 0;
    const lines = shop.take(LINE * cols);
    const cut = layout === "awq" ? shop.take((CUT / 2) * cols) : 0;
    const args = shop.take(groupedArgs.bytes);
    const row_bytes = rowBytes(format, cols);
    const out = shop.take((to - from) * row_bytes);
    // (rows, groups) in the layouts that have rows of inputs, else (groups, rows).
    const [scale_row, scale_group] = layout === "rows" || layout === "int8" ? [groups, 1] : [1, rows];
    writeStruct(shop, args, groupedArgs, { lines, order, cols, group, scale_row, scale_group, zero_group: rows });
    writeStruct(shop, args, groupedArgs, { add, row_bytes });
    const store = shop.converters.grouped.store(format);
    for (let first = from; first < to; first += LINE) {
      const count = Math.min(LINE, to - first);
      takeLines(shop, recipe, parts[0], cut, rows, cols, first, count, lines);
      writeStruct(shop, args, groupedArgs, {
        scale: scale + 4 * first * scale_row,
        zero: zero && zero + first,
        rows: count,
        out: out + (first - from) * row_bytes,
      });
      store(args);
    }
    return out;
  },
};

/** The codes of rows [first, first + count) as lines. */
function takeLines(
  { converters: { grouped: kernels } }: Workshop,
  { layout, bits }: PostedRecipe,
  words: number,
  cut: number,
  rows: number,
  cols: number,
  first: number,
  count: number,
  lines: number,
): void {
  if (layout === "gptq") kernels.take_columns(words, rows, cols, bits, first, lines);
  else if (layout === "awq") {
    if (first % CUT === 0) kernels.cut_words(words, rows / 8, cols, first / 8, cut);
    kernels.take_awq(cut, CUT, cols, first % CUT, lines);
  } else kernels.take_rows(words + (first * cols * bits) / 8, cols, bits, count, layout === "int8" ? 0x80 : 0, lines);
}

function readScales(shop: Workshop, { scale_format, groups }: PostedRecipe, stored: number, rows: number): number {
  const scales = shop.take(rows * groups * 4);
  shop.kernels.format(formats[scale_format]).dequantize(stored, scales, rows * groups);
  return scales;
}

/** (groups, rows) a byte each. */
function takeZeros(shop: Workshop, { layout, bits, groups }: PostedRecipe, words: number, rows: number): number {
  const { bytes } = shop;
  const { grouped: kernels } = shop.converters;
  const zeros = shop.take(rows * groups);
  if (layout === "gptq") {
    const row = (rows * bits) / 8;
    for (let g = 0; g < groups; g++) kernels.take_stream(words + g * row, rows, bits, zeros + g * rows);
    return zeros;
  }
  const awq = layout === "awq";
  const lines = shop.take(LINE * (awq ? groups : rows));
  for (let first = 0; first < (awq ? rows : groups); first += LINE) {
    if (awq) {
      // A line of a group's zeros is a piece of its row.
      kernels.take_awq(words, rows, groups, first, lines);
      const count = Math.min(LINE, rows - first);
      for (let g = 0; g < groups; g++)
        bytes.copyWithin(zeros + g * rows + first, lines + LINE * g, lines + LINE * g + count);
    } else {
      kernels.take_columns(words, groups, rows, bits, first, lines);
      const count = Math.min(LINE, groups - first);
      for (let k = 0; k < count; k++)
        for (let r = 0; r < rows; r++) bytes[zeros + (first + k) * rows + r] = bytes[lines + LINE * r + k];
    }
  }
  return zeros;
}

/** What the columns of blocks are, or of F32 the inputs' groups. */
function readOrder(shop: Workshop, { cols, format, recipe }: PostedMatrix, index: number): number {
  if (format.name === "F32") return index;
  const { groups } = recipe as unknown as PostedRecipe;
  const order = shop.take(cols * 4);
  shop.u32.set(columnOrder(shop.u32.subarray(index / 4, index / 4 + cols), groups), order / 4);
  return order;
}
