// Which experts the layers have chosen for each new token, told as it is fed: `experts_callback`.
import { functionArgument } from "../arguments.ts";
import type { ModelShape } from "../config/shape.ts";
import { InputError } from "../errors.ts";
import { type Captures, sharedFloats } from "../model/outputs.ts";
import { type ExactMath, softmax } from "../model/probabilities.ts";

/** What `experts_callback` is told of a new token, when it is fed: the last one of an answer never is. */
export interface ExpertChoices {
  /** The row of the batch. */
  row: number;
  /** The token's place in the row, the prompt's tokens counted, from 0. */
  position: number;
  token: number;
  /** (layers, experts of a token) those chosen, of each layer the weightiest first. */
  experts: Int32Array;
  /** (layers, experts of a token) what each counts, in each layer 1 together. */
  weights: Float32Array;
}

/** Told of each token. */
export type ExpertsCallback = (choices: ExpertChoices) => unknown;

/** @throws {@link InputError} where the model has no experts, or a call of this kind cannot tell of them */
export function checkExpertsCallback(callback: unknown, shape: ModelShape, kind: "beams" | "drafts" | undefined): void {
  if (callback === undefined) return;
  functionArgument(callback, "experts_callback");
  if (shape.layers.every(({ experts }) => experts <= 1))
    throw new InputError("experts_callback: this model has no experts");
  if (kind === "beams")
    throw new InputError("experts_callback: expected num_beams 1, as beams have no tokens of their own");
  if (kind === "drafts")
    throw new InputError(
      "experts_callback: expected no assistant_model and no prompt_lookup_num_tokens, whose tokens are read before they are chosen",
    );
}

export class ExpertWatch {
  private readonly shape: ModelShape;
  private readonly math: ExactMath;
  private readonly tell: (choices: ExpertChoices) => void;
  /** (row) by the token's index in the answer, where the threads put what the routers say: (layers), of the step's rows. */
  private readonly logits: Map<number, readonly Float32Array[]>[] = [];

  /** @param tell - is told in the order of each row's tokens */
  constructor(shape: ModelShape, math: ExactMath, tell: (choices: ExpertChoices) => void) {
    this.shape = shape;
    this.math = math;
    this.tell = tell;
  }

  /** What is wanted of a step whose row `at` of the sequence's is token `index` of an answer. */
  wants(row: number, index: number, at: number): Captures {
    const data = this.shape.layers.map(({ experts }) => sharedFloats((at + 1) * experts));
    (this.logits[row] ??= new Map()).set(index, data);
    return { router_logits: data.map((each, l) => ({ data: each, stride: this.shape.layers[l].experts, first: 0 })) };
  }

  /** That step was computed. */
  done(row: number, index: number, token: number, position: number): void {
    const data = this.logits[row]?.get(index);
    if (!data) return;
    this.logits[row].delete(index);
    const experts: number[] = [];
    const weights: number[] = [];
    for (const [l, values] of data.entries()) {
      const layer = this.shape.layers[l];
      const shares = softmax(this.math, values.subarray(values.length - layer.experts));
      // Among equals the first.
      const chosen = [...shares.keys()]
        .sort((a, b) => shares[b] - shares[a] || a - b)
        .slice(0, layer.experts_per_token);
      const sum = chosen.reduce((all, expert) => all + shares[expert], 0);
      experts.push(...chosen);
      weights.push(...chosen.map((expert) => shares[expert] / sum));
    }
    this.tell({ row, position, token, experts: Int32Array.from(experts), weights: Float32Array.from(weights) });
  }
}
