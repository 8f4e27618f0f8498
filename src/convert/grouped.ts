// Matrices of GPTQ, AWQ and compressed-tensors: codes out of the checkpoint's words, into blocks of a format with products,
// a few rows at a time, because neighbouring rows share words.
import type { GroupedRecipe } from "../checkpoint/packed.ts";
import { formats, rowBytes } from "../quant/formats.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import type { Maker } from "./makers.ts";
import { ROOM } from "./pieces.ts";
import type { Workshop } from "./workshop.ts";

/** Rows whose codes are taken out at a time: those that one line of a cache holds words of. */
const AT_ONCE = 16;

/** `store_grouped`'s kinds. */
const kinds: Readonly<Record<string, number>> = { INT4_32: 0, INT4_128: 1, INT8_32: 2 };

export const grouped: Maker<GroupedRecipe> = {
  rows: ({ rows }) => rows,
  bytes({ rows, cols, format, recipe }: MadeMatrix & { readonly recipe: GroupedRecipe }) {
    const read = recipe.parts.reduce((sum, { bytes }) => sum + bytes, 0);
    const groups = rows * recipe.groups * (4 + 1);
    return read + groups + AT_ONCE * cols + cols * 4 + rows * rowBytes(format, cols) + ROOM;
  },
  make(shop, matrix, from, to) {
    const { rows, cols, format } = matrix;
    const recipe = matrix.recipe as unknown as Omit<GroupedRecipe, "parts">;
    const { layout, groups, add } = recipe;
    const { grouped: kernels } = shop.converters;
    const parts = matrix.recipe.parts.map((part) => shop.read(part, 0, part.bytes));
    const [words] = parts;
    const scales = readScales(shop, recipe, parts[1], rows);
    const zeros = recipe.zeros ? unpackZeros(shop, recipe, parts[2], rows) : 0;
    const index = recipe.reordered ? parts[parts.length - 1] : 0;
    const codes = shop.take(AT_ONCE * cols);
    const values = shop.take(cols * 4);
    const row = rowBytes(format, cols);
    const out = shop.take((to - from) * row);
    const group = cols / groups;
    // (rows, groups) in the layouts that have rows of inputs, else (groups, rows).
    const by_row = layout === "rows" || layout === "int8";
    for (let first = from; first < to; first += AT_ONCE) {
      const count = Math.min(AT_ONCE, to - first);
      unpack(shop, recipe, words, rows, cols, first, count, codes);
      for (let r = first; r < first + count; r++) {
        const code = codes + (r - first) * cols;
        const scale = scales + 4 * (by_row ? r * groups : r);
        const [zero, zero_step] = zeros ? (layout === "awq" ? [zeros + r * groups, 1] : [zeros + r, rows]) : [0, 0];
        const scale_step = by_row ? 1 : rows;
        const to = out + (r - from) * row;
        const kind = kinds[format.name];
        if (kind !== undefined) {
          kernels.store_grouped(code, cols, group, scale, scale_step, zero, zero_step, add, kind, to);
          continue;
        }
        kernels.decode_grouped(code, cols, group, index, scale, scale_step, zero, zero_step, add, values);
        if (format.name === "F32") shop.bytes.copyWithin(to, values, values + 4 * cols);
        else shop.converters.quantize(format)(values, 0, to, 1, cols);
      }
    }
    return out;
  },
};

/** The codes of rows [first, first + count), a byte each. */
function unpack(
  { bytes, converters: { grouped: kernels } }: Workshop,
  { layout, bits }: Omit<GroupedRecipe, "parts">,
  words: number,
  rows: number,
  cols: number,
  first: number,
  count: number,
  codes: number,
): void {
  if (layout === "gptq") kernels.unpack_columns(words, rows, cols, bits, first, count, codes);
  else if (layout === "awq") kernels.unpack_awq(words, rows, cols, first, count, codes);
  else if (layout === "rows") kernels.unpack_rows(words + (first * cols * bits) / 8, cols, bits, count, codes);
  else for (let i = 0; i < count * cols; i++) bytes[codes + i] = bytes[words + first * cols + i] ^ 0x80;
}

function readScales(shop: Workshop, recipe: Omit<GroupedRecipe, "parts">, stored: number, rows: number): number {
  const count = rows * recipe.groups;
  const scales = shop.take(count * 4);
  shop.kernels.format(formats[recipe.scale_format]).dequantize(stored, scales, count);
  return scales;
}

/** A byte for each: (rows, groups) of AWQ, else (groups, rows). */
function unpackZeros(shop: Workshop, recipe: Omit<GroupedRecipe, "parts">, words: number, rows: number): number {
  const { layout, bits, groups } = recipe;
  const { grouped: kernels } = shop.converters;
  const zeros = shop.take(rows * groups);
  if (layout === "gptq") kernels.unpack_rows(words, rows, bits, groups, zeros);
  else if (layout === "awq")
    for (let r = 0; r < rows; r += AT_ONCE)
      kernels.unpack_awq(words, rows, groups, r, Math.min(AT_ONCE, rows - r), zeros + r * groups);
  else
    for (let g = 0; g < groups; g += AT_ONCE)
      kernels.unpack_columns(words, groups, rows, bits, g, Math.min(AT_ONCE, groups - g), zeros + g * rows);
  return zeros;
}
