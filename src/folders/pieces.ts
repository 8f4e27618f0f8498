// A matrix's bytes as a Hugging Face folder has them, piece by piece: as they stand in their file, with the rows of each head
// in Hugging Face's order, or with the heads of a group made one.

import { decodeFloats, encodeFloats, type FloatName } from "../quant/floats.ts";
import type { StoredMatrix } from "../weights/weights.ts";

export type Pieces = AsyncGenerator<Uint8Array, void, void>;

/** Bytes that are read at once. */
const PIECE_BYTES = 1 << 24;

/** What becomes of the heads that a matrix's rows are of. */
export interface HeadsChange {
  readonly head_dim: number;
  /** The rows of a head stand for rotating neighbours, and are to stand for rotating halves. */
  readonly interleaved: boolean;
  /** So many heads side by side become one, their mean; 1: they stay. */
  readonly group: number;
}

/** The bytes as they are. */
export async function* copied({ file, offset, bytes }: StoredMatrix): Pieces {
  for (let done = 0; done < bytes; done += PIECE_BYTES)
    yield await read(file, offset + done, Math.min(PIECE_BYTES, bytes - done));
}

/**
 * A matrix of heads, head by head.
 *
 *   two heads of four values, interleaved, group 1:  rows 0 1 2 3 | 4 5 6 7  →  0 2 1 3 | 4 6 5 7
 *   not interleaved, group 2:                        0 1 2 3 | 4 5 6 7  →  (0+4)/2 (1+5)/2 (2+6)/2 (3+7)/2
 */
export async function* changedHeads(matrix: StoredMatrix, { head_dim, interleaved, group }: HeadsChange): Pieces {
  const { file, offset, bytes, rows } = matrix;
  const row_bytes = bytes / rows;
  const head_bytes = head_dim * row_bytes;
  const format = matrix.format.name as FloatName;
  for (let head = 0; head < rows / head_dim; head += group) {
    const heads = async (i: number) => read(file, offset + (head + i) * head_bytes, head_bytes);
    const merged = group === 1 ? await heads(0) : encodeFloats(format, await mean(format, group, heads));
    yield interleaved ? halvesFromNeighbours(merged, row_bytes) : merged;
  }
}

/** In double precision, where no sum of a group's floats is rounded noticeably. */
async function mean(
  format: FloatName,
  count: number,
  bytes_of: (i: number) => Promise<Uint8Array>,
): Promise<Float64Array> {
  const sum = Float64Array.from(decodeFloats(format, await bytes_of(0)));
  for (let i = 1; i < count; i++) {
    const values = decodeFloats(format, await bytes_of(i));
    for (let at = 0; at < sum.length; at++) sum[at] += values[at];
  }
  for (let at = 0; at < sum.length; at++) sum[at] /= count;
  return sum;
}

/** Rows 0 1 2 3 4 5, rotated by pairs (0, 1), (2, 3), (4, 5), become 0 2 4 1 3 5, rotated by pairs (0, 3), (1, 4), (2, 5). */
function halvesFromNeighbours(rows: Uint8Array, row_bytes: number): Uint8Array {
  const out = new Uint8Array(rows.length);
  const half = rows.length / row_bytes / 2;
  for (let i = 0; i < half; i++) {
    for (const second of [0, 1]) {
      const from = (2 * i + second) * row_bytes;
      out.set(rows.subarray(from, from + row_bytes), (i + second * half) * row_bytes);
    }
  }
  return out;
}

async function read(file: StoredMatrix["file"], offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(offset, bytes);
  return bytes;
}
