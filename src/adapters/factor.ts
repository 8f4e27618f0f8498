// The values of an adapter's matrices, out of the tensors that they stand in.
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { firstNotFinite } from "../quant/finite.ts";
import type { Factor } from "./adapter.ts";

/** The other way round. */
export const transpose = (factor: Factor): Factor => ({
  ...factor,
  rows: factor.cols,
  cols: factor.rows,
  transposed: !factor.transposed,
});

/** A head's rows as they stand where adjacent pairs are rotated: row 2i + h is Hugging Face's h · head_dim / 2 + i. */
export const interleavedRow =
  (head_dim: number) =>
  (row: number): number => {
    const within = row % head_dim;
    return row - within + (within % 2) * (head_dim / 2) + (within >> 1);
  };

/** All values of the tensor that a factor is in. @throws {@link CheckpointError} when one is NaN or infinite */
export async function readTensor({ tensor }: Factor): Promise<Uint8Array<ArrayBuffer>> {
  const { name, format, shape, file, offset, bytes: length } = tensor;
  const bytes = new Uint8Array(length);
  await file.read(offset, bytes);
  const wrong = firstNotFinite(format, bytes);
  if (wrong >= 0)
    throw new CheckpointError(
      `${showName(name)}: expected numbers, found NaN or infinity at ${wrong} of ${format.name} [${shape.join(", ")}] in ${fileName(file.path)}`,
    );
  return bytes;
}

/** Writes a factor's rows one after the other, in its tensor's format. @param bytes - its tensor's */
export function copyFactor(
  { tensor, rows, cols, first_row, first_col, col_step, transposed }: Factor,
  bytes: Uint8Array<ArrayBuffer>,
  to: ArrayBufferLike,
  address: number,
  row_of: (i: number) => number = (i) => i,
): void {
  const Words = tensor.format.block_bytes === 4 ? Uint32Array : Uint16Array;
  const source = new Words(bytes.buffer, bytes.byteOffset, bytes.length / Words.BYTES_PER_ELEMENT);
  const target = new Words(to as ArrayBuffer, address, rows * cols);
  const width = tensor.shape[1];
  const at = (row: number, col: number) => (first_row + row) * width + first_col + col * col_step;
  for (let i = 0; i < rows; i++) {
    const row = row_of(i);
    if (!transposed && col_step === 1) {
      target.set(source.subarray(at(row, 0), at(row, cols)), i * cols);
      continue;
    }
    for (let j = 0; j < cols; j++) target[i * cols + j] = source[transposed ? at(j, row) : at(row, j)];
  }
}
