// What is wanted of a sequence's rows beside their keys and values, as data that travels with them: results of a head
// (values, losses, the largest, draws), and copies of what lies inside (hidden states, router logits, attentions). The
// threads write each result where it is to be, in memory that the caller shares with them.
import { sharedBuffer } from "../platform/shared_buffer.ts";

/** Rows of floats that the threads write: row i at `data[(first + i) · stride]`. */
export interface Target {
  readonly data: Float32Array; // in shared memory
  readonly stride: number;
  readonly first: number;
}

/** Writes row i of what a target is for. */
export const put = ({ data, stride, first }: Target, i: number, values: Float32Array): void =>
  data.set(values, (first + i) * stride);

/** What is wanted of some rows that pass through the model's head. A row may be asked for several times, to draw from it as often. */
export interface HeadWants {
  /** The rows, counted from the sequence's first in the step. */
  readonly rows: Uint32Array;
  /** (rows, size) what the head gives. */
  readonly values?: Target;
  /** (rows) −log softmax(values)[label]; nothing where a label is negative. */
  readonly losses?: { readonly labels: Int32Array; readonly target: Target };
  /** (rows) the index of the largest value, the first among equals; −1 where one is NaN. */
  readonly argmax?: Target;
  /** (rows) a sampler that takes the row's values, and the number of ids that it then has: see sampling.ts. */
  readonly draws?: { readonly samplers: Uint32Array; readonly lengths: Uint32Array };
  /** (rows, size) the values as the samplers have processed them. */
  readonly scores?: Target;
}

/** Copies of what lies inside, for each row that the step has of the sequence. */
export interface Captures {
  /** (layers + 1) of (rows, hidden): 0 the embeddings, i the output of layer i, the last after the final norm. */
  readonly hidden_states?: readonly (Target | undefined)[];
  /** (layers) of (rows, experts): raw, before the softmax. */
  readonly router_logits?: readonly Target[];
  /** (layers) of (rows, 2 · experts per token): those that the router picked, then their weights. */
  readonly picked?: readonly Target[];
  /**
   * (layers) of (rows, heads, keys): the row of head h at `data[(first + i + h · rows) · stride]`, of eager attention.
   */
  readonly attentions?: readonly (Target & { readonly rows: number; readonly first_key: number })[];
  /** Sums of squares that the rows are added to: see squares.ts. Shared. */
  readonly squares?: Float64Array;
}

export interface Wants extends Captures {
  readonly heads?: readonly HeadWants[];
}

/** Nothing but keys and values. */
export const nothing: Wants = {};

/** Floats that all threads write to. */
export const sharedFloats = (length: number): Float32Array => new Float32Array(sharedBuffer(length * 4));
