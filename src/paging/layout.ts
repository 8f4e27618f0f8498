// Experts on demand, as planned: how many slots there are, how many of them each layer keeps, and what is read into one.
import type { ModelShape } from "../config/shape.ts";
import { MemoryError } from "../errors.ts";
import { memoryFormat } from "../memory/repack.ts";
import type { SourceFile } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";
import type { MixtralWeights, StoredMatrix } from "../weights/weights.ts";
import { DOWN, type Part, PIECE_BYTES, UP } from "./table.ts";

/** A matrix of an expert, and where in a slot it stands. */
export interface PagedMatrix {
  readonly file: SourceFile;
  readonly offset: number;
  readonly bytes: number;
  readonly at: number;
  /** That it has there. */
  readonly format: BlockFormat;
  readonly part: Part;
}

export interface PagingLayout {
  /** What the experts may take. */
  readonly budget_bytes: number;
  /** Bytes of a slot: those of the largest expert, each matrix on a boundary of 64. */
  readonly slot_bytes: number;
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

const ALIGNED = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNED) * ALIGNED;

/** Of all slots, the part at most that no layer keeps. */
const MOST_SPARE = 1 / 6;

/** Bytes of all experts, and of the largest as it stands in a slot. */
export function expertSizes({ layers }: MixtralWeights): { bytes: number; slot_bytes: number } {
  let [bytes, slot_bytes] = [0, 0];
  for (const { w1, w3, w2 } of layers.flatMap(({ experts }) => experts)) {
    bytes += w1.bytes + w3.bytes + w2.bytes;
    slot_bytes = Math.max(slot_bytes, aligned(w1.bytes) + aligned(w3.bytes) + aligned(w2.bytes));
  }
  return { bytes, slot_bytes };
}

/**
 * @param budget_bytes - less than all experts take
 * @throws {@link MemoryError} when it is too little for one token and one step beside it
 */
export function layOutPaging(shape: ModelShape, weights: MixtralWeights, budget_bytes: number): PagingLayout {
  const { bytes, slot_bytes } = expertSizes(weights);
  const { layers } = weights;
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
  const first: number[] = [];
  const experts: PagedMatrix[][] = [];
  for (const layer of layers) {
    first.push(experts.length);
    for (const { w1, w3, w2 } of layer.experts) {
      let next = 0;
      experts.push(
        [w1, w3, w2].map((matrix, i) => {
          const { file, offset, bytes } = matrix as StoredMatrix;
          const at = next;
          next += aligned(bytes);
          return { file, offset, bytes, at, format: memoryFormat(matrix, false), part: i < 2 ? UP : DOWN };
        }),
      );
    }
  }
  return { budget_bytes, slot_bytes, slots, kept, spare, reserve, first, experts, bytes };
}

/** Reads that a matrix takes. */
export const piecesOf = ({ bytes }: { readonly bytes: number }): number => Math.ceil(bytes / PIECE_BYTES);
