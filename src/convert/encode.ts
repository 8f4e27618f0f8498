// Encodes rows anew: the file's blocks to f32, those to blocks of the format that is wanted.
import { showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { rowBytes } from "../quant/formats.ts";
import type { EncodeRecipe } from "../weights/recipe.ts";
import type { Maker } from "./makers.ts";
import { ROOM, rowsAtATime } from "./pieces.ts";

export const encode: Maker<EncodeRecipe> = {
  rows: rowsAtATime,
  bytes(matrix) {
    const { cols, format, recipe } = matrix;
    const of_row = rowBytes(recipe.from, cols) + cols * 4 + rowBytes(format, cols);
    return rowsAtATime(matrix) * of_row + ROOM;
  },
  make(shop, { name, cols, format, recipe }, from, to) {
    const { from: stored } = recipe as unknown as EncodeRecipe;
    const row = rowBytes(stored, cols);
    const source = shop.read(recipe.parts[0], from * row, to * row);
    const values = shop.take((to - from) * cols * 4);
    shop.kernels.format(stored).dequantize(source, values, (to - from) * cols);
    if (format.name === "F32") return values;
    const blocks = shop.take((to - from) * rowBytes(format, cols));
    const odd = shop.converters.quantize(format)(values, 0, blocks, to - from, cols);
    if (odd)
      throw new CheckpointError(
        `${showName(name)}: expected numbers that ${format.name} can hold, found NaN, an infinity or one too large in row ${from + odd - 1}`,
      );
    return blocks;
  },
};
