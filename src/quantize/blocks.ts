// A tensor's blocks as they are made, some dozen megabytes at a time: while some are written the next are made.

import type { Converters } from "../convert/converters.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { rowBytes } from "../quant/formats.ts";
import type { MadeMatrix, StoredMatrix } from "../weights/weights.ts";
import type { PlannedTensor } from "./plan.ts";

/** Bytes that are read or made at a time, about. */
const SLICE = 1 << 24;
const BATCH = 1 << 26;

/**
 * The memory that blocks are made in, two batches in turn, for all tensors of a call. Were each batch to have memory of its
 * own, as much as the whole file would pile up: threads that it was shared with let go of it late, and no runtime counts it as
 * a reason to collect.
 */
export class BlockMemory {
  private readonly both = [sharedBuffer(0), sharedBuffer(0)];
  private turn = 0;

  /** Shared memory of at least so many bytes, which the call after the next gets again. */
  take(bytes: number): SharedArrayBuffer {
    this.turn = 1 - this.turn;
    if (this.both[this.turn].byteLength < bytes) this.both[this.turn] = sharedBuffer(bytes);
    return this.both[this.turn];
  }
}

/** Whether a tensor's bytes stay as they are. */
export const isCopied = ({ from, to, heads_of }: PlannedTensor): boolean => from === to && !heads_of;

/** The rows of a tensor in slices that are made one by one. */
export function slicesOf({ name, matrices, from, to, heads_of, importance }: PlannedTensor): MadeMatrix[] {
  const [{ rows, cols }] = matrices;
  const step = heads_of ?? 1;
  const most = Math.max(1, Math.floor(SLICE / Math.max(rowBytes(to, cols), rowBytes(from, cols)) / step)) * step;
  return matrices.flatMap(({ file, offset }, e) => {
    const weights = importance?.subarray(e * cols, (e + 1) * cols);
    const slices: MadeMatrix[] = [];
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const [at, size] = [rowBytes(from, cols) * first, rowBytes(from, cols) * count];
      const part = { file, offset: offset + at, bytes: size };
      const recipe = { maker: "encode", parts: [part], from, importance: weights, heads_of } as const;
      slices.push({ name, format: to, rows: count, cols, bytes: count * rowBytes(to, cols), recipe });
    }
    return slices;
  });
}

/**
 * A tensor's bytes in the format that it is to have, in pieces that hold until the next is asked for.
 * @throws CheckpointError when the source cannot be read, or is no number
 */
export function blocksOf(
  tensor: PlannedTensor,
  converters: Converters | undefined,
  memory: BlockMemory,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (isCopied(tensor)) return copied(tensor.matrices, memory, signal);
  return made(slicesOf(tensor), converters!, memory, signal);
}

async function* copied(
  matrices: readonly StoredMatrix[],
  memory: BlockMemory,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (const { file, offset, bytes } of matrices) {
    for (let at = 0; at < bytes; at += SLICE) {
      signal?.throwIfAborted();
      const length = Math.min(SLICE, bytes - at);
      const piece = new Uint8Array(memory.take(length), 0, length);
      await file.read(offset + at, piece);
      yield piece;
    }
  }
}

async function* made(
  slices: readonly MadeMatrix[],
  converters: Converters,
  memory: BlockMemory,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const make = async (batch: readonly MadeMatrix[]): Promise<Uint8Array> => {
    const length = batch.reduce((sum, { bytes }) => sum + bytes, 0);
    const to = memory.take(length);
    let address = 0;
    const wanted = batch.map((matrix) => {
      const place = { matrix, memory_format: matrix.format, to, address };
      address += matrix.bytes;
      return place;
    });
    await converters.make(wanted, signal);
    return new Uint8Array(to, 0, length);
  };
  let next: Promise<Uint8Array> | undefined;
  try {
    for (const batch of batches(slices)) {
      const before = next;
      next = make(batch);
      next.catch(() => {}); // it is awaited below, unless writing fails before
      if (before) yield await before;
    }
    if (next) yield await next;
  } finally {
    await next?.catch(() => {}); // threads still write to its memory
  }
}

function* batches(slices: readonly MadeMatrix[]): Generator<MadeMatrix[]> {
  let batch: MadeMatrix[] = [];
  let bytes = 0;
  for (const slice of slices) {
    batch.push(slice);
    bytes += slice.bytes;
    if (bytes < BATCH) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length) yield batch;
}
