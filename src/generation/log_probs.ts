// Log-probabilities of a step's tokens, for callers who ask for the likeliest.
import { type ExactMath, logSumExp } from "../model/probabilities.ts";
import { largest } from "./largest.ts";

/** A token and its log-probability, by the model's own logits. */
export interface LogProb {
  token: number;
  /** log softmax of what the model gave, before any processor. */
  logprob: number;
}

/** A chosen token, and the likeliest in its place. */
export interface LogProbs extends LogProb {
  /** The likeliest tokens, the likeliest first. */
  top: LogProb[];
}

/** @param logits - of one row, as the model gave them */
export function logProbsOf(math: ExactMath, logits: Float32Array, token: number, count: number): LogProbs {
  const norm = logSumExp(math, logits);
  const of = (id: number): LogProb => ({ token: id, logprob: logits[id] - norm });
  return { ...of(token), top: largest(logits, count).map(of) };
}
