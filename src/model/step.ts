// What the team is told: its setup, and jobs. A step is a ragged list of rows, grouped by sequence: a prompt's chunk, the
// next tokens of many sequences, or both together. Plain data: it is posted to every thread.
import type { ModelShape } from "../config/shape.ts";
import type { Dot } from "../kernels/abi.ts";
import type { AdapterState, TeamAdapter } from "../memory/adapter_layout.ts";
import type { KvLayout } from "../memory/kv_pool.ts";
import type { Packings, RunState } from "../memory/layout.ts";
import type { BankedModel } from "../memory/plan.ts";
import type { NativeKernels } from "../offload/library.ts";
import type { PagerSetup } from "../paging/pager.ts";
import type { ReaderSetup } from "../paging/reader.ts";
import type { Wants } from "./outputs.ts";
import type { PhaseRecord } from "./phases.ts";
import type { TeamSampler } from "./sampling.ts";

/** Consecutive rows of a step that belong to one sequence. */
export interface SequenceRows {
  readonly row: number;
  readonly rows: number;
  /** How many tokens of the sequence came before: the absolute index of its first row here. */
  readonly first: number;
  /** Its pages in the step's list, and the block of positions that the first of them holds. */
  readonly pages_from: number;
  readonly pages_to: number;
  readonly first_block: number;
  /** (page, 2 words) a bit for each position that is padding; absent where none is. */
  readonly hidden?: Uint32Array;
  /** The adapters that its rows pass, ascending; absent where there are none. */
  readonly adapters?: readonly number[];
  readonly wants: Wants;
}

export interface Step {
  readonly lane: 0 | 1;
  /** Whether it may stop in the midst when the host asks for that, to go on later. */
  readonly pausable: boolean;
  readonly rows: number;
  /** (rows) token ids; −1 − s: the token that the sampler in slot s has drawn last. Where embeddings are given, anything. */
  readonly tokens: Int32Array;
  /** Rows that come as embeddings: from row `row` on, (rows, hidden). */
  readonly embeds: readonly { readonly row: number; readonly data: Float32Array }[];
  /** (rows) positions for RoPE. */
  readonly positions: Uint32Array;
  /** Rows, from row `row` on, that are not rotated with the model's standard frequencies, and theirs. */
  readonly frequencies: readonly { readonly row: number; readonly rows: number; readonly inv_freq: Float32Array }[];
  readonly sequences: readonly SequenceRows[];
  /** The pages of all sequences, one list after the other. */
  readonly pages: Uint32Array;
  /** Pages that are copied before anything else: from, to, from, to … */
  readonly copies: Uint32Array;
}

/** What the threads do, in the order in which it is posted. */
export type Job =
  | { readonly type: "step"; readonly step: Step }
  /** Goes on with the step of lane 0 that paused. */
  | { readonly type: "resume" }
  /** Forgets it instead. */
  | { readonly type: "drop" };

/** What a job comes to: whether the step is complete, and what its phases took where the engine profiles. */
export interface JobResult {
  readonly complete: boolean;
  readonly phases?: readonly PhaseRecord[];
}

/** What later jobs may rely on. */
export type Notice =
  | { readonly type: "dot"; readonly dot: Dot }
  | { readonly type: "sampler"; readonly sampler: TeamSampler }
  | { readonly type: "forget_sampler"; readonly id: number }
  /** An adapter, and the memory that it is in. */
  | { readonly type: "adapter"; readonly adapter: TeamAdapter; readonly memory: WebAssembly.Memory }
  /** No later job has it, nor any adapter in a bank that is gone. */
  | { readonly type: "forget_adapter"; readonly id?: number; readonly gone_bank: number | undefined };

/** What every thread is set up with. */
export interface Setup {
  readonly type: "forward";
  readonly kernels: WebAssembly.Module;
  /** What computes in their place, where it is there. */
  readonly native: NativeKernels | undefined;
  readonly logits: WebAssembly.Module;
  readonly shape: ModelShape;
  /** What cosines and sines of rotations are multiplied by. */
  readonly rope_scale: number;
  readonly state: RunState;
  readonly packings: Packings;
  /** From which size on an activation that LLM.int8 packs is an outlier; 0: none is. */
  readonly int8_threshold: number;
  readonly model: BankedModel;
  readonly kv: KvLayout;
  readonly adapters: AdapterState;
  /** Where experts come and go. */
  readonly paging: PagerSetup | undefined;
  /** And no thread reads them but this one. */
  readonly reader: ReaderSetup | undefined;
  /** The memories that weights and caches are spread over. */
  readonly banks: readonly WebAssembly.Memory[];
  /** Where the first thread tells which build of each format's one-token loop it uses: kernels/read_ahead.ts. */
  readonly choices: Int32Array;
  /** Whether attention stores the whole score matrix. */
  readonly eager: boolean;
  /** Whether every phase of every step is timed. */
  readonly profile: boolean;
}
