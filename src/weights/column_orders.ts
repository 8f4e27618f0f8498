// Matrices that meet the same activations may want their columns in different orders: each order is a copy of the activations.
import type { MatrixRef, MixtralWeights } from "./weights.ts";

/** (matrix) which copy it reads where that is not copy 0. By example, q and v with one order, k with its own: k reads copy 1. */
export function copiesOf({ layers }: MixtralWeights): ReadonlyMap<MatrixRef, number> {
  const copies = new Map<MatrixRef, number>();
  const sharing = (matrices: readonly MatrixRef[]) => {
    const orders = [...new Set(matrices.map(({ order }) => order))];
    for (const matrix of orders.length > 1 ? matrices : []) copies.set(matrix, orders.indexOf(matrix.order));
  };
  for (const { q_proj, k_proj, v_proj, experts } of layers) {
    sharing([q_proj, k_proj, v_proj]);
    for (const { w1, w3 } of experts) sharing([w1, w3]);
  }
  return copies;
}
