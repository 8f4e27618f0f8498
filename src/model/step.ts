// What one step of the forward pass is asked to do: a ragged list of rows, grouped by sequence. A prefill chunk, a decode
// step of many sequences, or both together are all steps. Plain data: it is posted to every thread.
import type { ModelShape } from "../config/shape.ts";
import type { Dot } from "../kernels/abi.ts";
import type { PackKinds, RunState } from "../memory/layout.ts";
import type { PlacedModel } from "../memory/plan.ts";

/** How a cache stores keys and values, by the number that the kernels know. */
export const kvTypes = { f32: { id: 0, bytes: 4 }, f16: { id: 1, bytes: 2 } } as const;
export type KvType = keyof typeof kvTypes;

/** Where one sequence's ring stands: for each layer the keys (kv_head, slot, head_dim), then the values likewise. */
export interface Ring {
  readonly type: KvType;
  readonly slots: number;
  /** (layer) the bank that holds the layer's part, and its address there. */
  readonly banks: readonly number[];
  readonly addresses: readonly number[];
  /** Eager attention's score matrices: (layer) the address of the first thread's, and the bytes of each thread's. */
  readonly matrices?: { readonly addresses: readonly number[]; readonly bytes: number };
}

/** Consecutive rows of a step that belong to one sequence. */
export interface SequenceRows {
  readonly row: number;
  readonly rows: number;
  /** How many tokens of the sequence came before: the absolute index of its first row here. */
  readonly first: number;
  readonly ring: Ring;
}

export interface Step {
  readonly rows: number;
  /** (rows) token ids; absent where embeddings are given. */
  readonly tokens?: Int32Array;
  /** (rows, hidden) */
  readonly embeds?: Float32Array;
  /** (rows) positions for RoPE. */
  readonly positions: Uint32Array;
  readonly sequences: readonly SequenceRows[];
  /** The rows whose logits are wanted; they come out in this order. */
  readonly logit_rows: Uint32Array;
  /** (layers + 1, rows, hidden), shared: 0 the embeddings, i the output of layer i, the last after the final norm. */
  readonly hidden_states?: Float32Array;
  /** (layers, rows, experts), shared: raw, before the softmax. */
  readonly router_logits?: Float32Array;
}

/** What every thread is set up with. */
export interface Setup {
  readonly module: WebAssembly.Module;
  readonly shape: ModelShape;
  readonly state: RunState;
  readonly kinds: PackKinds;
  readonly model: PlacedModel;
  /** The weight banks. Cache banks follow by `BankAdded`. */
  readonly banks: readonly WebAssembly.Memory[];
  /** Whether every phase of every step is timed. */
  readonly profile: boolean;
}

/** Tells the threads of a new cache bank; `index` continues the weight banks'. */
export interface BankAdded {
  readonly index: number;
  readonly memory: WebAssembly.Memory;
}

/** Tells the threads which dot to multiply many tokens with; the i16 one until then. */
export interface DotChosen {
  readonly dot: Dot;
}
