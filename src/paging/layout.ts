// Experts on demand, as planned: how many slots there are, how many of them each layer keeps, and what is read into one.
import type { ModelShape } from "../config/shape.ts";
import { MemoryError } from "../errors.ts";
import { alignUp } from "../memory/bank.ts";
import { SECTOR_BYTES, type SourceFile } from "../platform/platform.ts";
import { bytesOf, expertMatrices, type MixtralWeights, type StoredMatrix } from "../weights/weights.ts";
import { DOWN, type Part, PIECE_BYTES, UP } from "./table.ts";

/** A matrix of an expert, where in a slot it stands, and what is read for it: with what is beside it, where sectors are read. */
export interface PagedMatrix {
  readonly file: SourceFile;
  readonly bytes: number;
  readonly at: number;
  readonly part: Part;
  readonly read: { readonly offset: number; readonly bytes: number; readonly at: number };
  /** Of what is read, up to the matrix's end. */
  readonly least: number;
}

export interface PagingLayout {
  /** What the experts may take. */
  readonly budget_bytes: number;
  /** Bytes of a slot: those of the largest expert. */
  readonly slot_bytes: number;
  /** Whether whole sectors are read, past the system's cache. */
  readonly uncached: boolean;
  readonly slots: number;
  /** (layer) slots that it keeps; what is left serves whichever layer needs it, for reading ahead above all. */
  readonly kept: readonly number[];
  readonly spare: number;
  /** Slots that the steps between two parts of a prompt's chunk can count on. */
  readonly reserve: number;
  /** (layer) the first of its experts among those of all layers. */
  readonly first: readonly number[];
  /** (expert of all layers) its matrices: w1, w3, w2. */
  readonly experts: readonly (readonly PagedMatrix[])[];
  /** Bytes of all experts. */
  readonly bytes: number;
}

/** Where what is read begins, in the file and in memory. */
const alignOf = (uncached: boolean): { file: number; memory: number } =>
  uncached ? { file: SECTOR_BYTES, memory: SECTOR_BYTES } : { file: 1, memory: 64 };

/** Of all slots, the part at most that no layer keeps. */
const MOST_SPARE = 1 / 6;

/** An expert's matrices, w1, w3, w2, one behind the other. */
function place(matrices: readonly StoredMatrix[], uncached: boolean): { matrices: PagedMatrix[]; bytes: number } {
  const align = alignOf(uncached);
  let next = 0;
  const placed = matrices.map(({ file, offset, bytes }, i): PagedMatrix => {
    const start = Math.floor(offset / align.file) * align.file;
    const least = offset + bytes - start;
    const read = { offset: start, bytes: alignUp(least, align.file), at: next };
    next = alignUp(next + read.bytes, align.memory);
    return { file, bytes, at: read.at + offset - start, part: i < 2 ? UP : DOWN, read, least };
  });
  return { matrices: placed, bytes: next };
}

/**
 * @param budget_bytes - less than all experts take
 * @throws {@link MemoryError} when it is too little for one token and one step beside it
 */
export function layOutPaging(
  shape: ModelShape,
  weights: MixtralWeights,
  budget_bytes: number,
  uncached: boolean,
): PagingLayout {
  const { layers } = weights;
  const placed = layers.map(({ experts }) =>
    experts.map(({ w1, w3, w2 }) => place([w1, w3, w2] as StoredMatrix[], uncached)),
  );
  const slot_bytes = Math.max(...placed.flat().map(({ bytes }) => bytes));
  const slots = Math.floor(budget_bytes / slot_bytes);
  const picks = Math.max(...shape.layers.map(({ experts_per_token }) => experts_per_token));
  const reserve = Math.min(picks, Math.floor(slots / 2));
  if (reserve < 1)
    throw new MemoryError(
      `memory_budget: ${budget_bytes} bytes hold ${slots} experts of ${slot_bytes} bytes: expected room for 2 at least`,
      2 * slot_bytes,
      budget_bytes,
    );
  const missing = Math.max(0, Math.ceil(layers[0].experts.length - slots / layers.length));
  const spare = Math.max(reserve, Math.min(2 * missing, Math.floor(slots * MOST_SPARE)));
  const kept = layers.map(
    (_, i) => Math.floor((slots - spare) / layers.length) + (i < (slots - spare) % layers.length ? 1 : 0),
  );
  let count = 0;
  const first = placed.map(({ length }) => (count += length) - length);
  const experts = placed.flat().map(({ matrices }) => matrices);
  const bytes = bytesOf(expertMatrices(weights));
  return { budget_bytes, slot_bytes, uncached, slots, kept, spare, reserve, first, experts, bytes };
}

/** Reads that a matrix takes. */
export const piecesOf = ({ read }: PagedMatrix): number => Math.ceil(read.bytes / PIECE_BYTES);
