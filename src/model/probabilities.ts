// Probabilities on the host, of few values, in double precision.
import type { LogitsExports } from "../kernels/logits.ts";

/** Functions that give the same bits in every engine, as Math's do not. */
export type ExactMath = Pick<LogitsExports, "exp" | "log">;

/** e^x, of x up to 0. */
export const decay = ({ exp }: ExactMath, x: number): number => (x < -700 ? 0 : exp(x));

/** log(Σ exp(values)) */
export function logSumExp(math: ExactMath, values: ArrayLike<number>): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += decay(math, values[i] - largest);
  return largest + math.log(sum);
}

export function softmax(math: ExactMath, values: ArrayLike<number>): number[] {
  const norm = logSumExp(math, values);
  return Array.from(values, (value) => decay(math, value - norm));
}

/** 1 / (1 + e^−x) */
export function sigmoid(math: ExactMath, x: number): number {
  const small = decay(math, -Math.abs(x));
  return (x < 0 ? small : 1) / (1 + small);
}
