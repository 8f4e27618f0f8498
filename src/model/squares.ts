// Sums of squares of what a model's matrices are multiplied by, for importance matrices: each sequence that wants them has an
// array of its own. A column is added up by one thread at a time, row by row in their order, so that the sums depend neither
// on how many threads there are nor on which sequences share a step.

import type { ModelShape } from "../config/shape.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { share } from "../threads/barrier.ts";
import type { Assignment } from "./expert_tasks.ts";
import type { Phases } from "./phases.ts";
import type { StepView } from "./step_view.ts";
import type { BankView } from "./thread_memory.ts";

/** Where a layer's sums begin in the array. */
export interface LayerSquares {
  readonly attention: number; // (hidden)  inputs of q_proj, k_proj and v_proj
  readonly output: number; // (heads · head_dim)  of o_proj
  readonly router: number; // (hidden)
  readonly up: number; // (experts, hidden)  of w1 and w3
  readonly down: number; // (experts, intermediate)  of w2
  readonly rows: number; // (experts)  how many rows each expert had
}

/** The array's layout: each layer's part, and the length of all. */
export function squaresLayout({ hidden, layers }: ModelShape): { layers: readonly LayerSquares[]; length: number } {
  let length = 0;
  const take = (count: number): number => {
    const at = length;
    length += count;
    return at;
  };
  return {
    layers: layers.map(({ heads, head_dim, experts, intermediate }) => ({
      attention: take(hidden),
      output: take(heads * head_dim),
      router: take(hidden),
      up: take(experts * hidden),
      down: take(experts * intermediate),
      rows: take(experts),
    })),
    length,
  };
}

/** An array for {@link squaresLayout}, all zeros, that the threads write to. */
export const sharedSquares = (length: number): Float64Array => new Float64Array(sharedBuffer(length * 8));

export class Squares {
  private readonly phases: Phases;
  private readonly shape: ModelShape;
  private readonly layers: readonly LayerSquares[];

  constructor(phases: Phases, shape: ModelShape) {
    this.phases = phases;
    this.shape = shape;
    this.layers = squaresLayout(shape).layers;
  }

  /** Adds all rows of a matrix's inputs: this thread its share of the columns. @param x - f32, row r at x + r · stride floats */
  rows(
    { squares, rows }: StepView,
    part: "attention" | "output" | "router",
    layer: number,
    { f32 }: BankView,
    x: number,
    stride: number,
    cols: number,
  ): void {
    if (!squares) return;
    const [from, to] = this.own(cols);
    const at = this.layers[layer][part];
    for (let r = 0; r < rows; r++) add(squares[r], at, f32, x / 4 + r * stride, from, to);
  }

  /** Adds the inputs of experts, each expert's rows to its own, and counts them. */
  experts(view: StepView, layer: number, assignments: readonly Assignment[]): void {
    const { squares, home, buffers, pairs } = view;
    if (!squares) return;
    const { hidden } = this.shape;
    const { up, rows } = this.layers[layer];
    const [from, to] = this.own(hidden);
    for (const { expert, start, tokens } of assignments) {
      for (let t = 0; t < tokens; t++) {
        const row = home.u32[pairs.rows / 4 + start + t];
        const sums = squares[row];
        add(sums, up + expert * hidden, home.f32, buffers.xn / 4 + row * hidden, from, to);
        if (sums && this.phases.thread === 0) sums[rows + expert]++;
      }
    }
  }

  /** Adds columns [from, to) of an expert's gated products. @param strip - f32, row t at strip + t · stride floats, column `from` first */
  gated(
    { squares, home, pairs }: StepView,
    layer: number,
    { expert, start, tokens }: Assignment,
    { f32 }: BankView,
    strip: number,
    stride: number,
    from: number,
    to: number,
  ): void {
    if (!squares) return;
    const at = this.layers[layer].down + expert * this.shape.layers[layer].intermediate;
    for (let t = 0; t < tokens; t++) {
      const sums = squares[home.u32[pairs.rows / 4 + start + t]];
      add(sums, at, f32, strip / 4 + t * stride - from, from, to);
    }
  }

  private own(cols: number): readonly [from: number, to: number] {
    return share(cols, this.phases.thread, this.phases.threads);
  }
}

/** Adds squares of columns [from, to) of a row, whose column 0 is x[row], to those from `at` on. */
function add(sums: Float64Array | undefined, at: number, x: Float32Array, row: number, from: number, to: number): void {
  if (!sums) return;
  for (let c = from; c < to; c++) {
    const value = x[row + c];
    sums[at + c] += value * value;
  }
}
