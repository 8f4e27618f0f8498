// What a model will be once it is loaded: decided from headers alone, and told before anything is taken.
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readImatrix } from "../checkpoint/imatrix.ts";
import { readQuantization } from "../config/bitsandbytes_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import type { RopeType } from "../config/rope_parameters.ts";
import { type ModelShape, modelShape } from "../config/shape.ts";
import { InputError, MemoryError } from "../errors.ts";
import type { KernelInstance } from "../kernels/abi.ts";
import { askKernels } from "../kernels/load.ts";
import { loadLogits } from "../kernels/logits.ts";
import { type AdapterState, planAdapterState } from "../memory/adapter_layout.ts";
import { alignUp, MAX_BANK_BYTES } from "../memory/bank.ts";
import { cacheBytes, type KvFormat, type KvLayout, type KvSizes, PAGE_POSITIONS, planKv } from "../memory/kv_pool.ts";
import { type Packings, packingsOf, planRunState, type RunState, WORKSPACE_BYTES } from "../memory/layout.ts";
import { chooseSource, type WeightSource } from "../memory/load.ts";
import { multiplied, planWeights, type WeightPlan } from "../memory/plan.ts";
import { memoryFormat } from "../memory/repack.ts";
import { type DeviceKernels, loadDevice } from "../offload/device.ts";
import { choosePaging } from "../paging/choose.ts";
import type { PagingLayout } from "../paging/layout.ts";
import { READERS } from "../paging/readers.ts";
import type { Platform } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";
import type { MixShape } from "../quant/mixes.ts";
import { teamSize } from "../threads/team.ts";
import { bind } from "../weights/bind.ts";
import { bitsAndBytesOf, withBitsAndBytes } from "../weights/bnb.ts";
import { copiesOf } from "../weights/column_orders.ts";
import { withDtype } from "../weights/dtype.ts";
import { bytesOf, expertMatrices, type HeadName, type MatrixRef, type MixtralWeights } from "../weights/weights.ts";
import { EAGER_ROWS } from "./attention.ts";
import { checkOptions, type LoadOptions } from "./options.ts";
import { mostPages } from "./pages.ts";

/** Tokens of a prompt's chunk: long enough that unpacking weights is a small part. */
const CHUNK_ROWS = 512;

/** Rows of a step between two parts of a chunk. */
const BETWEEN_ROWS = 64;

/** Rows that pass through a head at once. */
const HEAD_ROWS = 64;

/** What the matrices of attention maps may take where attention is not eager anyway: addresses, until they are used. */
const MAPS_BYTES = 2 ** 28;

export const MAX_SEQUENCES = 64;

/** Weights that are read keep this alignment within a bank. */
const DEFAULT_PAGE = 4096;

/** What caches may take where the runtime does not tell how much memory is free. */
const UNKNOWN_KV_BYTES = 2 ** 31;

export interface EnginePlan {
  readonly shape: ModelShape;
  readonly kernels: DeviceKernels;
  readonly logits: WebAssembly.Module;
  readonly packings: Packings;
  readonly int8_threshold: number;
  readonly state: RunState;
  readonly source: WeightSource;
  readonly weights: WeightPlan;
  /** Where experts come and go. */
  readonly paging: PagingLayout | undefined;
  /** The class's. */
  readonly head: HeadName | null;
  readonly kv: KvLayout;
  readonly adapters: AdapterState;
  /** Bytes of each memory: weights, and caches where they found room or in memories of their own. */
  readonly bank_bytes: readonly number[];
  /** How many matrices have each format, in the files or as they are made. */
  readonly formats: Record<string, number>;
  /** Those that they have in memory. */
  readonly memory_formats: readonly BlockFormat[];
  /** Positions that a sequence can have. */
  readonly context: number;
  /** Where the checkpoint is. */
  readonly path: string;
  /** Why there is one thread, where there can be no more. */
  readonly alone: string | undefined;
}

/** Of the free memory, what is left to caches at most where experts would take all. */
const CACHE_SHARE = 1 / 12;

/** What a thread takes for itself: its code and heap. Measured in Node: 10 MB, 8 MB of those that only read (bench: memory). */
const THREAD_BYTES = 12e6;

/** Rope types that are made for more positions than the model was trained for. */
const STRETCHING: readonly RopeType[] = ["dynamic", "yarn", "longrope"];

/**
 * Positions that a sequence can have, whatever a call asks for; a window makes any number possible, where fewer are not wanted.
 * @throws {@link InputError} when more are wanted than the model's positions reach
 */
function contextOf({ window, max_positions, trained_positions, rope }: ModelShape, wanted?: number): number {
  if (window) return Math.min(wanted ?? max_positions, max_positions);
  const most = STRETCHING.includes(rope.rope_type) ? max_positions : trained_positions;
  if (wanted !== undefined && wanted > most)
    throw new InputError(
      `context: expected at most ${most} (max_position_embeddings; rope_type "${rope.rope_type}" reaches no further), found ${wanted}`,
    );
  return Math.min(wanted ?? trained_positions, max_positions);
}

/** @throws CheckpointError when tensors are missing or wrong, MemoryError when a part cannot fit any memory, InputError */
export async function planEngine(
  platform: Platform,
  checkpoint: Checkpoint,
  options: LoadOptions,
  head: HeadName | null,
): Promise<EnginePlan> {
  checkOptions(options);
  const shape = modelShape(checkpoint.config);
  const given = readQuantization(options.quantization_config);
  const bitsandbytes = bitsAndBytesOf(checkpoint, given);
  const bound = bind(checkpoint, head);
  // A checkpoint that is quantized already is as its tensors say.
  const quantized = given && bitsandbytes === given ? withBitsAndBytes(bound, given) : bound;
  const imatrix = options.imatrix === undefined ? undefined : await readImatrix(platform, options.imatrix);
  const weights = withDtype(quantized, options.dtype, mixShape(checkpoint.config, bound), imatrix);
  const device = await loadDevice(platform, options.device, options.simd);
  const matrices = matricesOf(weights);
  const context = contextOf(shape, options.context);
  const free = platform.available_memory();
  const mapping = await chooseSource(
    platform,
    options.mmap ?? "auto",
    checkpoint.files.every((file) => file.mappable),
  );
  const caches = cacheBytes(shape, context, options.kv_dtype ?? "f32");
  const logits = await WebAssembly.compile((await platform.wasm("logits.wasm")) as BufferSource);
  return askKernels(device.instantiate, (kernels, memory) => {
    const chunk_rows = options.chunk_size ?? CHUNK_ROWS;
    const head_size = weights.head?.weight.rows ?? 1;
    const pages = mostPages(context, shape.window, chunk_rows);
    /** What steps work in, by the formats that the weights have in memory. */
    const stateOf = (mapped: boolean, as_stored: readonly MatrixRef[]) => {
      const memory_formats = [
        ...new Set([
          ...matrices.map((matrix) => memoryFormat(matrix, mapped)),
          ...as_stored.map(({ format }) => format),
        ]),
      ];
      const packings = packingsOf(kernels, memory_formats, 1 + Math.max(0, ...copiesOf(weights).values()));
      const state = planRunState(shape, kernels, packings, {
        threads: teamSize(platform, options.threads),
        chunk_rows,
        between_rows: Math.min(chunk_rows, BETWEEN_ROWS),
        head_rows: HEAD_ROWS,
        whole_rows: weights.layers.some(({ experts }) =>
          experts.some(({ w2 }) => w2.order || w2.format.row_head !== undefined),
        ),
        head_size,
        pages,
        logits_scratch: loadLogits(logits, memory).scratch_bytes(head_size),
      });
      return { memory_formats, packings, state };
    };
    const before = stateOf(mapping.mapper !== undefined, []);
    const { paging, reason } = choosePaging(shape, weights, {
      memory_budget: options.memory_budget,
      mmap: options.mmap,
      mapped: mapping.mapper !== undefined,
      on_disk: checkpoint.files.every(({ handle }) => !("bytes" in handle)),
      free,
      weight_bytes: bytesOf(matrices),
      beside:
        (options.kv_bytes ?? Math.min(caches, (free ?? Infinity) * CACHE_SHARE)) +
        before.state.end -
        WORKSPACE_BYTES +
        (before.state.threads + READERS) * THREAD_BYTES,
    });
    const source: WeightSource = reason === undefined ? mapping : { mapper: undefined, reason };
    const mapped = source.mapper !== undefined;
    const { memory_formats, packings, state } = paging ? stateOf(false, expertMatrices(weights)) : before;
    const page_size = source.mapper?.page_size ?? DEFAULT_PAGE;
    const capacity = options.bank_bytes ? options.bank_bytes + state.end : MAX_BANK_BYTES;
    const plan = planWeights(shape, weights, state.end, page_size, capacity, mapped, paging);
    const beside_slots = free === undefined ? undefined : Math.max(0, free - slotBytes(paging));
    const sizes = kvSizes(beside_slots, kernels, shape, options, state, pages);
    const banks = plan.model.layers.map(({ bank }) => bank);
    // Where banks are small, for tests, caches need not be.
    const { layout, bank_bytes } = planKv(shape, sizes, banks, plan.bank_bytes, state.end, MAX_BANK_BYTES);
    return {
      shape,
      kernels: device,
      logits,
      packings,
      int8_threshold: bitsandbytes?.llm_int8_threshold ?? 0,
      state,
      source,
      weights: plan,
      paging,
      head,
      kv: layout,
      adapters: planAdapterState(shape, kernels, state),
      bank_bytes,
      formats: countFormats(matrices),
      memory_formats,
      context,
      path: checkpoint.path,
      alone: platform.alone,
    };
  });
}

/** What file types go by. */
const mixShape = (config: PreTrainedConfig, { embed_tokens, head, layers }: MixtralWeights): MixShape => ({
  layers: layers.length,
  heads: config.num_attention_heads,
  kv_heads: config.num_key_value_heads,
  experts: layers[0].experts.length,
  tied: head?.weight === embed_tokens,
});

/** What caches may take. @param free - bytes of memory, where the runtime tells @param pages - of a sequence at most @throws {@link InputError} or MemoryError when that was asked for and cannot be */
function kvSizes(
  free: number | undefined,
  kernels: KernelInstance,
  shape: ModelShape,
  options: LoadOptions,
  { threads }: RunState,
  pages: number,
): KvSizes {
  const format: KvFormat = options.kv_dtype ?? "f32";
  const odd = shape.layers.find(({ head_dim }) => head_dim % 32 !== 0);
  if (format === "q8_0" && odd)
    throw new InputError(`kv_dtype: q8_0 stores 32 values together, and heads of this model have ${odd.head_dim}`);
  if (options.kv_bytes !== undefined && free !== undefined && options.kv_bytes > free)
    throw new MemoryError(
      `kv_bytes: ${options.kv_bytes} bytes were asked for, ${free} are free`,
      options.kv_bytes,
      free,
    );
  const eager = options.attn_implementation === "eager";
  const matrix = alignUp(
    Math.max(
      ...shape.layers.map(({ heads, kv_heads }) =>
        kernels.attention_matrix(heads / kv_heads, EAGER_ROWS, pages * PAGE_POSITIONS),
      ),
    ),
    64,
  );
  const matrices = matrix * threads;
  const most_pages = (options.max_sequences ?? MAX_SEQUENCES) * pages;
  const bytes = options.kv_bytes ?? (free === undefined ? UNKNOWN_KV_BYTES : Math.floor(free / 2));
  return { format, bytes, most_pages, matrices: eager || matrices <= MAPS_BYTES ? matrices : 0, matrix };
}

const slotBytes = (paging: PagingLayout | undefined): number => (paging ? paging.slots * paging.slot_bytes : 0);

/** Bytes of memory that the weights take for themselves: what is made or read, and what experts come into. */
export const ownBytes = ({ source, weights, paging }: EnginePlan): number =>
  source.mapper ? weights.made_bytes : weights.weight_bytes - weights.paged_bytes + slotBytes(paging);

/** The part of `ModelInfo` that is known before loading. */
export function describePlan(plan: EnginePlan) {
  const { state, kernels, source, weights, kv, formats: used } = plan;
  const orders = weights.orders.reduce((sum, { order }) => sum + order.byteLength, 0);
  const reasons = [plan.alone, source.mapper ? undefined : source.reason].filter((reason) => reason !== undefined);
  const constants = weights.constants.reduce((sum, { from }) => sum + from.rows * from.cols * 4, orders);
  return {
    threads: state.threads,
    device: kernels.device,
    ...(kernels.native ? { vector_units: kernels.native.level } : {}),
    ...(kernels.reason === undefined ? {} : { device_reason: kernels.reason }),
    simd: kernels.build.simd,
    mapped: source.mapper !== undefined,
    ...(reasons.length ? { reason: reasons.join("; ") } : {}),
    weight_bytes: weights.weight_bytes,
    banks: weights.bank_bytes.length,
    private_bytes: state.end - WORKSPACE_BYTES + constants + ownBytes(plan),
    kv_bytes: kv.pages * kv.page_bytes.reduce((a, b) => a + b, 0),
    formats: used,
  };
}

const matricesOf = (weights: MixtralWeights): MatrixRef[] => [
  weights.embed_tokens,
  ...(weights.head && weights.head.weight !== weights.embed_tokens ? [weights.head.weight] : []),
  ...weights.layers.flatMap(({ q_proj, k_proj, v_proj, o_proj, router, experts }) => [
    ...[q_proj, k_proj, v_proj, o_proj, ...(router && multiplied(router) ? [router] : [])],
    ...experts.flatMap(({ w1, w2, w3 }) => [w1, w2, w3]),
  ]),
];

/** How many matrices have each format. */
function countFormats(matrices: readonly MatrixRef[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { format } of matrices) counts[format.name] = (counts[format.name] ?? 0) + 1;
  return counts;
}
