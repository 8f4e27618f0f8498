// The losses of the classes that do not predict the next token, and of routers: few numbers, computed on the host in
// double precision. Source: transformers, loss_utils.py and load_balancing_loss_func.
import type { ModelShape } from "../config/shape.ts";
import { decay, type ExactMath, logSumExp } from "./probabilities.ts";

/** Mean of −log softmax(row)[label] over the rows whose label is not `ignored`; NaN where none is left. */
export function crossEntropy(
  math: ExactMath,
  rows: readonly Float32Array[],
  labels: ArrayLike<number>,
  ignored = -100,
): number {
  let sum = 0;
  let count = 0;
  for (const [i, row] of rows.entries()) {
    if (labels[i] === ignored) continue;
    sum += logSumExp(math, row) - row[labels[i]];
    count++;
  }
  return sum / count;
}

/** Mean of (value − target)². */
export function meanSquaredError(values: ArrayLike<number>, targets: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - targets[i]) ** 2;
  return sum / values.length;
}

/** Mean of −target · log σ(value) − (1 − target) · log(1 − σ(value)). */
export function binaryCrossEntropy(math: ExactMath, values: ArrayLike<number>, targets: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++)
    sum += Math.max(values[i], 0) - values[i] * targets[i] + math.log(1 + decay(math, -Math.abs(values[i])));
  return sum / values.length;
}

/**
 * experts · Σ over experts e of f_e · P_e: f_e the picks of e for a token, P_e the mean of its probabilities, over all
 * layers and tokens that are not padding. Even routing gives the number of experts a token goes to.
 * @param router - (sequence, layer) of (tokens, experts), raw; and which tokens are padding, which does not count
 */
export function loadBalancingLoss(
  math: ExactMath,
  { layers }: ModelShape,
  router: readonly { readonly layers: readonly Float32Array[]; readonly padding: Uint8Array | undefined }[],
): number {
  const { experts, experts_per_token } = layers[0];
  const picks = new Float64Array(experts);
  const probabilities = new Float64Array(experts);
  let tokens = 0;
  for (const { logits, padding } of router.flatMap((row) => row.layers.map((logits) => ({ ...row, logits })))) {
    for (let at = 0; at < logits.length; at += experts) {
      if (padding?.[at / experts]) continue;
      const row = logits.subarray(at, at + experts);
      const norm = logSumExp(math, row);
      const order = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b);
      for (const expert of order.slice(0, experts_per_token)) picks[expert]++;
      for (let e = 0; e < experts; e++) probabilities[e] += decay(math, row[e] - norm);
      tokens++;
    }
  }
  let sum = 0;
  for (let e = 0; e < experts; e++) sum += (picks[e] / tokens) * (probabilities[e] / tokens);
  return experts * sum;
}
