// Which experts each layer chose for the new tokens of a generation, as the threads say it while they compute.
import { functionArgument } from "../arguments.ts";
import type { ModelShape } from "../config/shape.ts";
import { InputError } from "../errors.ts";
import { sharedFloats, type Target } from "../model/outputs.ts";

/** Which experts each layer chose for a token: what `experts_callback` is told. k is `num_experts_per_tok`. */
export interface ExpertChoices {
  /** The row of the batch. */
  row: number;
  /** Where the token stands in the row, prompt and answer together. */
  position: number;
  token: number;
  /** (layers · k) the experts of each layer, the weightiest first. */
  experts: Int32Array;
  /** (layers · k) their weights, which are 1 together in each layer. */
  weights: Float32Array;
}

type Tell = (choices: ExpertChoices) => unknown;

/** @throws {@link InputError} when it is no function, or the model has no experts to tell of */
export function checkExpertsCallback(callback: unknown, { layers }: ModelShape): void {
  functionArgument(callback as Tell, "experts_callback");
  if (callback != null && !layers.every(({ routed }) => routed))
    throw new InputError("experts_callback: expected a mixture of experts, found a model whose tokens pass no router");
}

export class ChoiceRecorder {
  private readonly tell: Tell;
  private readonly layers: number;
  private readonly k: number;
  /** (row) of each step that fed a new token: what the layers chose, and for which of the step's rows. */
  private readonly steps: Map<number, { readonly data: readonly Float32Array[]; readonly row: number }>[];

  constructor(tell: Tell, { layers }: ModelShape, rows: number) {
    this.tell = tell;
    this.layers = layers.length;
    this.k = layers[0].experts_per_token;
    this.steps = Array.from({ length: rows }, () => new Map());
  }

  /**
   * What is wanted of a step.
   * @param index - of the token that is chosen after it: it feeds the one before
   * @param at - which of the step's rows that is
   */
  wants(row: number, index: number, at: number): readonly Target[] {
    const stride = 2 * this.k;
    const data = Array.from({ length: this.layers }, () => sharedFloats((at + 1) * stride));
    this.steps[row].set(index, { data, row: at });
    return data.map((data) => ({ data, stride, first: 0 }));
  }

  /**
   * Token `index` of a row is there: tells of the one before it.
   * @param position - of the one before
   * @returns what the caller's function has returned
   */
  chosen(row: number, index: number, position: number, token: number): unknown {
    const step = this.steps[row].get(index);
    this.steps[row].delete(index);
    if (!step) return undefined;
    const { k, layers } = this;
    const experts = new Int32Array(layers * k);
    const weights = new Float32Array(layers * k);
    for (const [layer, data] of step.data.entries()) {
      const from = step.row * 2 * k;
      experts.set(data.subarray(from, from + k), layer * k);
      weights.set(data.subarray(from + k, from + 2 * k), layer * k);
    }
    return this.tell({ row, position, token, experts, weights });
  }
}
