// The low region of every bank: constant data of the modules, stacks, then the buffers of steps ("run state"). The same addresses in every bank; only
// the buffers that a bank's work touches become resident there.
import { type ModelShape, widest } from "../config/shape.ts";
import { MemoryError } from "../errors.ts";
import { attentionArgs, type KernelExports, stackTop } from "../kernels/abi.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { alignUp, MAX_BANK_BYTES, WASM_PAGE } from "./bank.ts";

/** Rows of an expert product that a thread computes at a time: a multiple of the 128 columns that packing works in. */
export const STRIP = 128;

/** Fewer rows than this are multiplied as they are: unpacking weights pays from four on (docs/performance.md). */
export const TILE_FROM = 4;

/** Rows of a step that are so few that every thread does for itself what comes before a product. Two of an expert are neighbours. */
export const FEW_ROWS = 2;

/** Rows of queries that one unit of attention's work has at most. */
export const ATTENTION_ROWS = 64;

/** Which packed copies of activations a model needs: the packings that its formats read, one by one and in tiles. */
export interface Packings {
  readonly vec: readonly number[];
  readonly tile: readonly number[];
}

/** Room for packed activations, once for each packing. */
export interface Region {
  readonly address: number;
  /** Bytes of each packing's part. */
  readonly bytes: number;
  /** Bytes that a tile of 4 rows takes at most, packed as a tile or one by one. */
  readonly tile_bytes: number;
}

/** What becomes of a step's rows on their way to the products. */
export interface RowBuffers {
  readonly xn: number; // f32 (rows, hidden)  normed
  readonly packed: Region; // inputs of attention's products, of the experts and of the heads, one after the other
  readonly router_logits: number; // f32 (rows, experts)
  readonly picked: number; // u32 (rows, experts_per_token)
  readonly weights: number; // f32 (rows, experts_per_token)
}

/**
 * The buffers of a step. There are two sets, because a prompt's chunk may pause in the midst of its work while a step of
 * waiting tokens runs.
 */
export interface Lane extends RowBuffers {
  /** Rows of a step at most. */
  readonly rows: number;
  /** Rows that pass through a head at once. */
  readonly head_rows: number;
  readonly x: number; // f32 (rows, hidden)  the residual stream
  readonly q: number; // f32 (rows + 3, q_stride)  as projected; then attention's output
  readonly k: number; // f32 (rows + 3, kv_stride)
  readonly v: number; // f32 (rows + 3, kv_stride)
  readonly rotated: number; // f32 (rows, q_stride)
  readonly rope: number; // f32 (rows, rope_dim)  cosines, then sines
  readonly expert_h: Region; // gated products, inputs of w2
  readonly gated: number; // f32 (rows · experts_per_token, intermediate)  the same unpacked, where w2 wants whole rows
  readonly logits: number; // f32 (head_rows + 3, logits_stride)
}

/** What one thread has for itself. */
export interface ThreadBuffers {
  readonly strip: number; // f32 (rows + 3, STRIP)  outputs of one unit of a product
  readonly strip2: number; // f32 (rows + 3, STRIP)
  readonly strip3: number; // f32 (rows + 3, STRIP)  what an adapter adds to a strip
  readonly added: { readonly rows: number; readonly weights: number }; // u32, f32 (rows): to which of a strip's rows, times what
  readonly staged: number; // f32 (4, hidden)  rows on their way to another bank
  /** Where rows are so few that every thread packs them for itself. */
  readonly few: RowBuffers;
  /** (lane) the step's (row, expert) pairs, sorted by expert. */
  readonly pairs: readonly { readonly rows: number; readonly weights: number }[]; // u32, f32 (rows · experts_per_token)
  readonly scratch: number; // matmul_scratch
  readonly attention_scratch: number;
  readonly pages: number; // u32 (pages of a sequence)
  readonly hidden: number; // u32 (pages, 2)  bits
  readonly inv_freq: number; // f32 (rope_dim / 2)  of rows that reach further than the model was trained for
  readonly args: number; // the struct of a kernel's arguments
  readonly logits_scratch: number; // of the logits module; in bank 0 only
}

export interface RunState {
  readonly threads: number;
  readonly q_stride: number; // floats: heads · head_dim, rounded up to 4
  readonly kv_stride: number; // floats: kv_heads · head_dim, rounded up to 4
  readonly logits_stride: number; // floats: the largest head's outputs, rounded up to 4
  readonly inv_freq: number; // f32 (rope_dim / 2)
  /** The prompt's chunks, and the steps that run while one pauses. */
  readonly lanes: readonly [chunk: Lane, between: Lane];
  readonly workspaces: number; // of samplers, WORKSPACE_BYTES; in bank 0 only
  readonly own: readonly ThreadBuffers[]; // (thread)
  /** The first byte after the low region. */
  readonly end: number;
}

/** Room for what samplers keep: touched as far as it is used. */
export const WORKSPACE_BYTES = 1 << 26;

/** Bytes of the largest struct of arguments, and room. */
const ARGS_BYTES = 128;

/** Sizes that do not follow from the model's shape. */
export interface RunSizes {
  readonly threads: number;
  /** Rows of a prompt's chunk at most. */
  readonly chunk_rows: number;
  /** Rows of a step between two parts of a chunk at most. */
  readonly between_rows: number;
  /** Rows that pass through a head at once. */
  readonly head_rows: number;
  /** Whether products with some w2 need whole rows of activations to be packed. */
  readonly whole_rows: boolean;
  /** Outputs of the largest head. */
  readonly head_size: number;
  /** Pages that a sequence's list has at most. */
  readonly pages: number;
  /** Bytes of scratch that the logits module wants for a row of `head_size`. */
  readonly logits_scratch: number;
}

type Take = (bytes: number) => number;

/**
 * @param kernels - an instance, asked for sizes only
 * @throws {@link MemoryError} when the buffers would not fit a bank
 */
export function planRunState(shape: ModelShape, kernels: KernelExports, packings: Packings, sizes: RunSizes): RunState {
  let next = stackTop(sizes.threads); // behind the stacks, the host's among them
  const take: Take = (bytes) => {
    const at = next;
    next = alignUp(next + bytes, 64);
    return at;
  };
  const { threads, chunk_rows, between_rows } = sizes;
  const strides = {
    q_stride: alignUp(
      widest(shape, ({ heads, head_dim }) => heads * head_dim),
      4,
    ),
    kv_stride: alignUp(
      widest(shape, ({ kv_heads, head_dim }) => kv_heads * head_dim),
      4,
    ),
    logits_stride: alignUp(sizes.head_size, 4),
  };
  const regions = new PackedRegions(kernels, packings, take);
  const inv_freq = take(shape.rope_dim * 2);
  const lanes = [chunk_rows, between_rows].map((rows) =>
    planLane(shape, rows, Math.min(rows, sizes.head_rows), strides, sizes.whole_rows, regions, take),
  );
  const workspaces = take(WORKSPACE_BYTES);
  const own = Array.from({ length: threads }, () => {
    next = alignUp(next, 4096); // no two threads write to one page
    return planThread(shape, kernels, sizes, regions, take);
  });
  const end = alignUp(next, WASM_PAGE);
  if (end > MAX_BANK_BYTES / 2) {
    throw new MemoryError(
      `a step of ${chunk_rows} tokens of this model needs ${end} bytes of buffers, of at most ${MAX_BANK_BYTES / 2}`,
      end,
    );
  }
  return { threads, ...strides, inv_freq, lanes: [lanes[0], lanes[1]], workspaces, own, end };
}

/** Takes regions for packed rows. */
class PackedRegions {
  private readonly kernels: KernelExports;
  private readonly packings: Packings;
  private readonly take: Take;

  constructor(kernels: KernelExports, packings: Packings, take: Take) {
    this.kernels = kernels;
    this.packings = packings;
    this.take = take;
  }

  /** Room for `rows` rows spread over `groups` groups, each group padded to whole tiles or packed one by one. */
  region(cols: number, rows: number, groups: number): Region {
    const { kernels, packings } = this;
    const tile = Math.max(0, ...packings.tile.map((packing) => kernels.packed_bytes(packing, cols, 4)));
    const vec = Math.max(0, ...packings.vec.map((packing) => kernels.packed_bytes(packing, cols, 1)));
    const tile_bytes = alignUp(Math.max(tile, (TILE_FROM - 1) * vec), 64);
    const bytes = tile_bytes * (Math.ceil(rows / 4) + groups);
    return { address: this.take(bytes * (packings.vec.length + packings.tile.length)), bytes, tile_bytes };
  }
}

function planRows(shape: ModelShape, rows: number, regions: PackedRegions, take: Take): RowBuffers {
  const experts = widest(shape, (layer) => layer.experts);
  const picks = widest(shape, (layer) => layer.experts_per_token);
  const attended = widest(shape, ({ heads, head_dim }) => heads * head_dim);
  return {
    xn: take(rows * shape.hidden * 4),
    packed: regions.region(Math.max(shape.hidden, attended), rows * picks, experts),
    router_logits: take(rows * experts * 4),
    picked: take(rows * picks * 4),
    weights: take(rows * picks * 4),
  };
}

function planLane(
  shape: ModelShape,
  rows: number,
  head_rows: number,
  { q_stride, kv_stride, logits_stride }: { q_stride: number; kv_stride: number; logits_stride: number },
  whole_rows: boolean,
  regions: PackedRegions,
  take: Take,
): Lane {
  const picks = widest(shape, (layer) => layer.experts_per_token);
  const experts = widest(shape, (layer) => layer.experts);
  const intermediate = widest(shape, (layer) => layer.intermediate);
  return {
    rows,
    head_rows,
    ...planRows(shape, rows, regions, take),
    x: take(rows * shape.hidden * 4),
    q: take((rows + 3) * q_stride * 4),
    k: take((rows + 3) * kv_stride * 4),
    v: take((rows + 3) * kv_stride * 4),
    rotated: take(rows * q_stride * 4),
    rope: take(rows * shape.rope_dim * 4),
    expert_h: regions.region(intermediate, rows * picks, experts),
    gated: whole_rows ? take(rows * picks * intermediate * 4) : 0,
    logits: take((head_rows + 3) * logits_stride * 4),
  };
}

function planThread(
  shape: ModelShape,
  kernels: KernelExports,
  sizes: RunSizes,
  regions: PackedRegions,
  take: Take,
): ThreadBuffers {
  const { hidden } = shape;
  const { chunk_rows, between_rows, pages } = sizes;
  const picks = widest(shape, (layer) => layer.experts_per_token);
  // Fewer columns may need more: the panel holds an even number of rows near a size.
  const panel = widest(shape, ({ intermediate, heads, head_dim }) =>
    Math.max(...[hidden, intermediate, heads * head_dim].map((cols) => kernels.matmul_scratch(cols))),
  );
  const strip = (chunk_rows + 3) * STRIP * 4;
  return {
    strip: take(strip),
    strip2: take(strip),
    strip3: take(strip),
    added: { rows: take(chunk_rows * 4), weights: take(chunk_rows * 4) },
    staged: take(4 * hidden * 4),
    few: planRows(shape, FEW_ROWS, regions, take),
    pairs: [chunk_rows, between_rows].map((rows) => ({
      rows: take(rows * picks * 4),
      weights: take(rows * picks * 4),
    })),
    scratch: take(panel),
    attention_scratch: take(
      widest(shape, ({ heads, kv_heads, head_dim }) => kernels.attention_scratch(heads / kv_heads, head_dim)),
    ),
    pages: take(pages * 4),
    hidden: take(pages * 8),
    inv_freq: take(shape.rope_dim * 2),
    args: take(Math.max(ARGS_BYTES, attentionArgs.bytes)),
    logits_scratch: take(sizes.logits_scratch),
  };
}

/** The distinct packings of some formats. */
export function packingsOf(kernels: KernelExports, used: Iterable<BlockFormat>): Packings {
  const vec = new Set<number>();
  const tile = new Set<number>();
  for (const format of used) {
    vec.add(kernels.vec_kind(format.id));
    tile.add(kernels.tile_kind(format.id));
  }
  return { vec: [...vec], tile: [...tile] };
}
