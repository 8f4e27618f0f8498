// Encodes rows anew: the file's blocks to f32, those to blocks of the format that is wanted.
import { showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { rowBytes } from "../quant/formats.ts";
import type { EncodeRecipe } from "../weights/recipe.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import type { Maker } from "./makers.ts";
import { rowsAtATime as plainRows, ROOM } from "./pieces.ts";
import type { Workshop } from "./workshop.ts";

/** Rows of whole heads, where these turn. */
const rowsAtATime = (matrix: Encoded): number => plainRows(matrix, matrix.recipe.heads_of);

type Encoded = Pick<MadeMatrix, "rows" | "cols"> & { readonly recipe: EncodeRecipe };

export const encode: Maker<EncodeRecipe> = {
  rows: rowsAtATime,
  bytes(matrix) {
    const { cols, format, recipe } = matrix;
    const of_row = rowBytes(recipe.from, cols) + cols * (recipe.heads_of ? 8 : 4) + rowBytes(format, cols);
    return rowsAtATime(matrix) * of_row + cols * 4 + ROOM;
  },
  make(shop, { name, cols, format, recipe }, from, to) {
    const { from: stored, importance, heads_of } = recipe as unknown as EncodeRecipe;
    const row = rowBytes(stored, cols);
    const source = shop.read(recipe.parts[0], from * row, to * row);
    let values = shop.take((to - from) * cols * 4);
    shop.kernels.format(stored).dequantize(source, values, (to - from) * cols);
    if (heads_of) values = interleaved(shop, values, to - from, cols, heads_of);
    if (format.name === "F32") return values;
    let weights = 0;
    if (importance) {
      weights = shop.take(cols * 4);
      shop.floats(weights, cols).set(importance);
    }
    const blocks = shop.take((to - from) * rowBytes(format, cols));
    const odd = shop.converters.quantize(format)(values, weights, blocks, to - from, cols);
    if (odd)
      throw new CheckpointError(
        `${showName(name)}: expected numbers that ${format.name} can hold, found NaN, an infinity or one too large in row ${from + odd - 1}`,
      );
    return blocks;
  },
};

/** The rows of whole heads in GGUF's order, elsewhere. */
function interleaved(shop: Workshop, values: number, rows: number, cols: number, size: number): number {
  const to = shop.take(rows * cols * 4);
  const [all, out] = [shop.floats(values, rows * cols), shop.floats(to, rows * cols)];
  for (let r = 0; r < rows; r++) {
    const j = r % size;
    const from = r - j + (j % 2) * (size / 2) + (j >> 1);
    out.set(all.subarray(from * cols, (from + 1) * cols), r * cols);
  }
  return to;
}
