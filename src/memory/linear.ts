// Where weights stand while they are used. Threads hold these tables, which are in shared memory, and look a matrix up
// each time that they multiply by it: so one can move without a word to anybody.
import type { BlockFormat } from "../quant/formats.ts";

/** Matrices of one shape and one role: w1 of a layer's experts, or just one, as q_proj. Plain data: sent to the threads. */
export interface MatrixStack {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly formats: readonly BlockFormat[]; // (matrix)
  readonly banks: Uint16Array; // (matrix), shared
  readonly addresses: Uint32Array; // (matrix), shared
  /**
   * (matrix), shared: where u32 (cols) stand in the matrix's bank, which column of the activations each of its columns meets;
   * 0 where that is its own.
   */
  readonly orders: Uint32Array;
  /** (matrix) which of the packed copies of its activations it reads: matrices with other orders have other copies. */
  readonly copies: readonly number[];
}

/** What rows of activations are multiplied by. What a product is more than its weights stands beside them here. */
export interface Linear {
  readonly weights: MatrixStack;
  /** The address of f32 (rows) that are added, in the bank of the weights: heads alone have them. */
  readonly bias?: number;
}
