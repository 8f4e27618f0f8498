// Whether all experts are to have places of their own, or come when they are needed: decided once, with the reason.
import type { ModelShape } from "../config/shape.ts";
import { InputError } from "../errors.ts";
import type { MatrixRef, MixtralWeights } from "../weights/weights.ts";
import { expertSizes, layOutPaging, type PagingLayout } from "./layout.ts";

/** What of the free memory weights may take where nothing else is said: the rest is for caches, buffers and others. */
const AUTO_SHARE = 0.85;

export interface PagingChoice {
  readonly paging?: PagingLayout;
  /** Why experts come and go. */
  readonly reason?: string;
}

/**
 * @param mapped - whether the weights could be mapped
 * @param free - bytes of memory, where the runtime tells
 * @throws {@link InputError} where a budget was given that cannot be kept, MemoryError where it is too small
 */
export function choosePaging(
  shape: ModelShape,
  weights: MixtralWeights,
  { memory_budget = "auto", mmap }: { memory_budget?: number | "auto"; mmap?: "auto" | boolean },
  mapped: boolean,
  free: number | undefined,
): PagingChoice {
  const { bytes } = expertSizes(weights);
  const experts = weights.layers.flatMap((layer) => layer.experts.flatMap(({ w1, w3, w2 }) => [w1, w3, w2]));
  const made = experts.find(isMade);
  if (memory_budget !== "auto") {
    const budget = memory_budget <= 1 ? Math.floor(memory_budget * bytes) : memory_budget;
    if (budget >= bytes) return {};
    if (mmap === true)
      throw new InputError("memory_budget: it reads experts when they are needed: mmap: true maps all");
    if (made)
      throw new InputError(
        `memory_budget: ${made.name} is made while the model loads, and cannot be read again: write a file of it first (quantize)`,
      );
    return { paging: layOutPaging(shape, weights, budget), reason: "memory_budget was given" };
  }
  if (free === undefined || mmap === true || made) return {};
  const others = otherBytes(weights);
  const room = Math.floor(free * AUTO_SHARE) - others;
  if (bytes <= room || (mapped && bytes + others <= free * 0.95)) return {};
  if (room <= 0) return {};
  const reason = `the weights take ${bytes + others} bytes, and ${free} bytes of memory are free`;
  return { paging: layOutPaging(shape, weights, room), reason };
}

const isMade = (matrix: MatrixRef): boolean => matrix.recipe !== undefined;

/** Bytes of all matrices but the experts'. */
function otherBytes({ embed_tokens, head, layers }: MixtralWeights): number {
  const matrices = new Set<MatrixRef>([embed_tokens, ...(head ? [head.weight] : [])]);
  for (const { q_proj, k_proj, v_proj, o_proj } of layers)
    for (const matrix of [q_proj, k_proj, v_proj, o_proj]) matrices.add(matrix);
  return [...matrices].reduce((sum, { bytes }) => sum + bytes, 0);
}
