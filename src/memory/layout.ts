// The low region of every bank: stacks, then the buffers of a step ("run state"). The same addresses in every bank; only
// the buffers that a bank's work touches become resident there.
import type { ModelShape } from "../config/shape.ts";
import { MemoryError } from "../errors.ts";
import { attentionArgs, type KernelExports, STACK_BYTES } from "../kernels/abi.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { alignUp, MAX_BANK_BYTES, WASM_PAGE } from "./bank.ts";

/** Bytes [0, 1024) belong to the logits module (assembly/). */
const LOGITS_MODULE_BYTES = 1024;

/** Rows of an expert product that a thread computes at a time: a multiple of the 128 columns that packing works in. */
export const STRIP = 128;

/** Fewer tokens than this are multiplied one by one: unpacking a weight tile pays from three on (docs/performance.md). */
export const TILE_FROM = 3;

/** Which packed copies of activations a model needs: the kinds its formats read, of each form. */
export interface PackKinds {
  readonly vec: readonly number[];
  readonly tile: readonly number[];
}

/** Room for packed activations, once for each packing kind. */
export interface Region {
  readonly address: number;
  /** Bytes of each kind's part. */
  readonly bytes: number;
  /** Bytes that a tile of 4 tokens takes at most, packed as a tile or one by one. */
  readonly slot: number;
}

export interface RunState {
  /** Rows (tokens) of one step at most. */
  readonly rows: number;
  /** Rows whose logits one step gives at most. */
  readonly logit_rows: number;
  readonly threads: number;
  readonly q_stride: number; // floats: heads · head_dim, rounded up to 4
  readonly kv_stride: number; // floats: kv_heads · head_dim, rounded up to 4
  readonly logits_stride: number; // floats: vocab, rounded up to 4

  readonly x: number; // f32 (rows, hidden)  the residual stream
  readonly xn: number; // f32 (rows, hidden)  normed
  readonly q: number; // f32 (rows + 3, q_stride)  as projected; then attention's output
  readonly k: number; // f32 (rows + 3, kv_stride)
  readonly v: number; // f32 (rows + 3, kv_stride)
  readonly q_rotated: number; // f32 (rows, q_stride)
  readonly k_rotated: number; // f32 (rows, kv_stride)
  readonly rope: number; // f32 (rows, head_dim)  cosines, then sines
  readonly inv_freq: number; // f32 (head_dim / 2)
  readonly k_chunk: number; // (rows, kv_heads · head_dim) in the cache's type
  readonly v_chunk: number;
  readonly router_logits: number; // f32 (rows, experts)
  readonly picked: number; // u32 (rows, experts_per_token)
  readonly weights: number; // f32 (rows, experts_per_token)
  readonly packed: Region; // inputs of attention's products and of the head
  readonly expert_x: Region; // expert inputs
  readonly expert_h: Region; // gated products, inputs of w2
  readonly logits: number; // f32 (logit_rows + 3, logits_stride)
  readonly workspaces: number; // of the logits module, WORKSPACE_BYTES; in bank 0 only
  readonly private: number; // a region for each thread, see ThreadState
  readonly private_bytes: number;
  /** The first byte after the low region. */
  readonly end: number;
}

/** Addresses of one thread's own buffers. */
export interface ThreadState {
  readonly stack_top: number;
  readonly gate: number; // f32 (rows + 3, STRIP)  also the strip of any product's output
  readonly up: number; // f32 (rows + 3, STRIP)
  readonly staged: number; // f32 (4, hidden)  rows on their way to another bank
  readonly pair_rows: number; // u32 (rows · experts_per_token)  rows sorted by expert
  readonly pair_weights: number; // f32, likewise
  readonly scratch: number; // matmul_scratch
  readonly attention_scratch: number;
  readonly attention_args: number;
}

/** Room for the logits module's workspaces, one for each generation that runs: touched as far as they are used. */
export const WORKSPACE_BYTES = 1 << 26;

/**
 * @param kernels - an instance, asked for sizes only
 * @param rows - tokens of one step at most (a prefill chunk)
 * @throws {@link MemoryError} when the buffers would not fit a bank
 */
export function planRunState(
  shape: ModelShape,
  kernels: KernelExports,
  kinds: PackKinds,
  threads: number,
  rows: number,
  logit_rows: number,
): RunState {
  let next = alignUp(LOGITS_MODULE_BYTES, STACK_BYTES) + (threads + 1) * STACK_BYTES; // one more for the host's instance
  const take = (bytes: number): number => {
    const at = next;
    next = alignUp(next + bytes, 64);
    return at;
  };
  const f32 = (count: number) => take(count * 4);
  const { hidden, intermediate, heads, kv_heads, head_dim, experts, experts_per_token } = shape;
  const q_stride = alignUp(heads * head_dim, 4);
  const kv_stride = alignUp(kv_heads * head_dim, 4);
  const logits_stride = alignUp(shape.vocab, 4);
  const pairs = rows * experts_per_token;
  const padded = rows + 3;

  // `tokens` tokens spread over `groups` groups, each group padded to whole tiles or packed one by one.
  const region = (cols: number, tokens: number, groups: number): Region => {
    const tile = Math.max(0, ...kinds.tile.map((kind) => kernels.tile_bytes(kind, cols, 4)));
    const vec = Math.max(0, ...kinds.vec.map((kind) => kernels.vec_bytes(kind, cols)));
    const slot = alignUp(Math.max(tile, (TILE_FROM - 1) * vec), 64);
    const bytes = slot * (Math.ceil(tokens / 4) + groups);
    return { address: take(bytes * (kinds.vec.length + kinds.tile.length)), bytes, slot };
  };

  const fixed = {
    x: f32(rows * hidden),
    xn: f32(Math.max(rows, logit_rows) * hidden),
    q: f32(padded * q_stride),
    k: f32(padded * kv_stride),
    v: f32(padded * kv_stride),
    q_rotated: f32(rows * q_stride),
    k_rotated: f32(rows * kv_stride),
    rope: f32(rows * head_dim),
    inv_freq: f32(head_dim),
    k_chunk: f32(rows * kv_stride),
    v_chunk: f32(rows * kv_stride),
    router_logits: f32(rows * experts),
    picked: f32(pairs),
    weights: f32(pairs),
    packed: region(Math.max(hidden, heads * head_dim), Math.max(rows, logit_rows), 1),
    expert_x: region(hidden, pairs, experts),
    expert_h: region(intermediate, pairs, experts),
    logits: f32((logit_rows + 3) * logits_stride),
    workspaces: take(WORKSPACE_BYTES),
  };
  const widest = Math.max(hidden, intermediate, heads * head_dim);
  const thread = planThread(shape, kernels, rows, widest, 0);
  const private_bytes = alignUp(thread.end, 4096);
  const start = alignUp(next, 4096);
  const end = alignUp(start + private_bytes * threads, WASM_PAGE);
  if (end > MAX_BANK_BYTES / 2) {
    throw new MemoryError(
      `a step of ${rows} tokens of this model needs ${end} bytes of buffers, of at most ${MAX_BANK_BYTES / 2}`,
      end,
    );
  }
  return {
    rows,
    logit_rows,
    threads,
    q_stride,
    kv_stride,
    logits_stride,
    ...fixed,
    private: start,
    private_bytes,
    end,
  };
}

function planThread(shape: ModelShape, kernels: KernelExports, rows: number, widest: number, base: number) {
  let next = base;
  const take = (bytes: number): number => {
    const at = next;
    next = alignUp(next + bytes, 64);
    return at;
  };
  const { heads, kv_heads, head_dim, hidden } = shape;
  const strip = (rows + 3) * STRIP * 4;
  return {
    gate: take(strip),
    up: take(strip),
    staged: take(4 * hidden * 4),
    pair_rows: take(rows * shape.experts_per_token * 4),
    pair_weights: take(rows * shape.experts_per_token * 4),
    scratch: take(kernels.matmul_scratch(widest)),
    attention_scratch: take(kernels.attention_scratch(heads / kv_heads, head_dim)),
    attention_args: take(attentionArgs.bytes),
    end: next,
  };
}

/** Where thread `thread` has its own buffers; thread === threads is the host, which has a stack alone. */
export function threadState(shape: ModelShape, kernels: KernelExports, state: RunState, thread: number): ThreadState {
  const widest = Math.max(shape.hidden, shape.intermediate, shape.heads * shape.head_dim);
  const own = planThread(shape, kernels, state.rows, widest, state.private + thread * state.private_bytes);
  return { ...own, stack_top: hostStackTop(thread) };
}

/** The top of a thread's stack; the host's instances use thread === threads. */
export const hostStackTop = (thread: number): number =>
  alignUp(LOGITS_MODULE_BYTES, STACK_BYTES) + (thread + 1) * STACK_BYTES;

/** The distinct packing kinds of some formats. */
export function packKinds(kernels: KernelExports, used: Iterable<BlockFormat>): PackKinds {
  const vec = new Set<number>();
  const tile = new Set<number>();
  for (const format of used) {
    vec.add(kernels.vec_kind(format.id));
    tile.add(kernels.tile_kind(format.id));
  }
  return { vec: [...vec], tile: [...tile] };
}
