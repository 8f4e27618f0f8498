// Adapters in memory: where A and B of each matrix stand, in banks of their own that come and go with them. An adapters'
// bank begins with the low region of all banks; behind it are buffers for what adapters compute, then the adapters.
import { MOST_RANK } from "../adapters/adapter_config.ts";
import { type ModelShape, widest } from "../config/shape.ts";
import type { KernelExports } from "../kernels/abi.ts";
import type { FileFormat } from "../quant/formats.ts";
import { alignUp, WASM_PAGE } from "./bank.ts";
import type { Lane, RunState } from "./layout.ts";

/** Rows of activations that one unit of the products with A takes. */
export const ADAPTER_ROWS = 16;

/** A matrix of an adapter in its bank: whole rows, one after the other. */
export interface BankedFactor {
  readonly address: number;
  readonly format: FileFormat;
}

/** scale · B A. Of an embedding `a` is A's transpose, a row for each token. */
export interface BankedPair {
  readonly rank: number;
  readonly scale: number;
  readonly a: BankedFactor; // (rank, cols); of an embedding (vocab, rank)
  readonly b: BankedFactor; // (rows, rank)
}

/** What an adapter adds to a layer's matrices. */
export interface AdapterLayer {
  q_proj?: BankedPair;
  k_proj?: BankedPair;
  v_proj?: BankedPair;
  o_proj?: BankedPair;
  gate?: BankedPair;
  /** (expert) */
  w1?: (BankedPair | undefined)[];
  w2?: (BankedPair | undefined)[];
  w3?: (BankedPair | undefined)[];
}

/** An adapter as threads know it. Plain data: told to each of them once. */
export interface TeamAdapter {
  readonly id: number;
  /** The number of its bank, among those of adapters. */
  readonly bank: number;
  readonly layers: readonly AdapterLayer[];
  readonly embed_tokens?: BankedPair;
  readonly head?: BankedPair;
  /** What stands in a whole matrix's place. */
  readonly whole_embed_tokens?: BankedFactor; // (vocab, hidden)
  readonly whole_head?: BankedFactor; // (outputs, hidden)
  /** (lane) packed products with A, scaled: inputs of those with B. */
  readonly inner: readonly [number, number];
}

/** What one thread has for itself in an adapters' bank. */
export interface AdapterThreadBuffers {
  readonly staged: number; // f32 (ADAPTER_ROWS, the widest input)
  readonly packed: number; // the same, packed; or one row of a rank
  readonly inner: number; // f32 (ADAPTER_ROWS + 3, MOST_RANK)
  readonly scratch: number; // matmul_scratch
}

/** Where the buffers of an adapters' bank are: the same in each. */
export interface AdapterState {
  /** (lane) f32 (rows · experts_per_token, intermediate)  gated products of an expert's rows, by pair */
  readonly gated: readonly [number, number];
  readonly own: readonly AdapterThreadBuffers[]; // (thread)
  /** The first byte of adapters. */
  readonly end: number;
}

/** The columns of a model's widest matrix. */
const widestInput = (shape: ModelShape): number =>
  Math.max(
    shape.hidden,
    widest(shape, ({ intermediate, heads, head_dim }) => Math.max(intermediate, heads * head_dim)),
  );

/** The rows of `rows` rows that adapters' matrices see: of experts, each row once for each that it picks. */
const pairsOf = (shape: ModelShape, { rows }: Lane): number => rows * widest(shape, (layer) => layer.experts_per_token);

/** @param kernels - an instance, asked for sizes only */
export function planAdapterState(shape: ModelShape, kernels: KernelExports, state: RunState): AdapterState {
  let next = state.end;
  const take = (bytes: number) => {
    const at = next;
    next = alignUp(next + bytes, 64);
    return at;
  };
  const cols = alignUp(widestInput(shape), 8);
  const intermediate = widest(shape, (layer) => layer.intermediate);
  const gated = state.lanes.map((lane) => take(pairsOf(shape, lane) * intermediate * 4));
  // Its largest panels have columns in between.
  const scratch = Math.max(...[cols, 256, 512, 1024, 2048, MOST_RANK].map((n) => kernels.matmul_scratch(n)));
  const own = Array.from({ length: state.threads }, () => {
    next = alignUp(next, 4096); // no two threads write to one page
    return {
      staged: take(ADAPTER_ROWS * cols * 4),
      packed: take(Math.max(ADAPTER_ROWS * cols, MOST_RANK) * 4),
      inner: take((ADAPTER_ROWS + 3) * MOST_RANK * 4),
      scratch: take(scratch),
    };
  });
  return { gated: [gated[0], gated[1]], own, end: alignUp(next, WASM_PAGE) };
}

/** Bytes of `rows` packed rows of floats, as a tile or one by one. */
const packedBytes = (rows: number, cols: number): number => alignUp(rows, 4) * alignUp(cols, 8) * 4;

/** Bytes of the packed products with A that an adapter has in one lane, at most: those of one phase. */
export function innerBytes(
  shape: ModelShape,
  lane: Lane,
  { layers, head, whole_head }: Pick<TeamAdapter, "layers" | "head" | "whole_head">,
): number {
  const experts = widest(shape, (layer) => layer.experts);
  // Each expert's rows fill up a tile.
  const pairs = pairsOf(shape, lane) + 3 * experts;
  const rank = (pairs: readonly (BankedPair | undefined)[] | undefined) =>
    Math.max(0, ...(pairs ?? []).map((pair) => pair?.rank ?? 0));
  const ofLayer = ({ q_proj, k_proj, v_proj, o_proj, w1, w2, w3 }: AdapterLayer) => {
    const attention = [q_proj, k_proj, v_proj].reduce((sum, pair) => sum + packedBytes(lane.rows, pair?.rank ?? 0), 0);
    const up = packedBytes(pairs, rank(w1)) + packedBytes(pairs, rank(w3));
    return Math.max(attention, packedBytes(lane.rows, o_proj?.rank ?? 0), up, packedBytes(pairs, rank(w2)));
  };
  const ofHead =
    packedBytes(lane.head_rows, head?.rank ?? 0) + packedBytes(lane.head_rows, whole_head ? shape.hidden : 0);
  return Math.max(ofHead, ...layers.map(ofLayer));
}
