// The engine: a loaded model. It owns the banks, the team of threads and the caches' memory; calls submit parts of steps.

import { checkTensors } from "../checkpoint/check_tensors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type ModelShape, modelShape } from "../config/shape.ts";
import { CheckpointError, EngineError, MemoryError } from "../errors.ts";
import { instantiate, type KernelInstance } from "../kernels/abi.ts";
import { askKernels, type KernelBuild, loadKernels } from "../kernels/load.ts";
import { type LogitsExports, loadLogits } from "../kernels/logits.ts";
import { alignUp, createBank, MAX_BANK_BYTES } from "../memory/bank.ts";
import { chooseFilling, emptyBanks, type Filling, fillBanks, fillConstants } from "../memory/fill.ts";
import {
  hostStackTop,
  type PackKinds,
  packKinds,
  planRunState,
  type RunState,
  WORKSPACE_BYTES,
} from "../memory/layout.ts";
import { planWeights, type WeightPlan } from "../memory/plan.ts";
import { Regions } from "../memory/regions.ts";
import { FileWatch } from "../memory/watch.ts";
import type { Platform } from "../platform/platform.ts";
import { type FormatName, formats } from "../quant/formats.ts";
import { Team } from "../threads/team.ts";
import { bind } from "../weights/bind.ts";
import type { MixtralWeights } from "../weights/weights.ts";
import { CacheStore } from "./cache_store.ts";
import { checkOptions, type LoadOptions } from "./options.ts";
import type { PhaseRecord } from "./phases.ts";
import { Profile } from "./profile.ts";
import { Scheduler } from "./scheduler.ts";
import { Slots } from "./slots.ts";
import type { BankAdded, DotChosen, Setup, Step } from "./step.ts";

/** Tokens of a prefill chunk: long enough that unpacking weights is a small part, short enough to cancel. */
const CHUNK_ROWS = 512;

/** Rows whose logits one step gives: 64 sequences decoding at once, or 64 positions of a forward call. */
const LOGIT_ROWS = 64;

/** Weights that are read keep this alignment within a bank. */
const DEFAULT_PAGE = 4096;

/** What `model.info()` tells. */
export interface ModelInfo {
  threads: number;
  simd: "plain" | "relaxed";
  /** Whether weights are mapped from their files; if not, `reason` says why. */
  mapped: boolean;
  reason?: string;
  /** Bytes of weights, as the files hold them. */
  weight_bytes: number;
  /** Memories that the weights are spread over. */
  banks: number;
  /** Bytes that are this process's own once used: buffers and constants, and the weights where they were read. */
  private_bytes: number;
  /** Bytes of caches now. */
  cache_bytes: number;
  /** How many matrices have each format. */
  formats: Record<string, number>;
}

export class Engine {
  readonly platform: Platform;
  readonly shape: ModelShape;
  readonly state: RunState;
  readonly store: CacheStore;
  /** The bank that logits come out in. */
  readonly home: WebAssembly.Memory;
  /** The logits module on `home`, and the part of it that its users take their workspaces from. */
  readonly logits: LogitsExports;
  readonly workspaces: Regions;
  /** Sequences that are generated at once. */
  readonly slots: Slots;
  /** What every step took, where the option `profile` was given. */
  readonly profile: Profile | undefined;
  private readonly host: KernelInstance;
  private readonly planned: EnginePlan;
  private readonly banks: WebAssembly.Memory[];
  private readonly team: Team;
  private readonly scheduler: Scheduler;
  private disposed = false;

  private constructor(
    platform: Platform,
    planned: EnginePlan,
    banks: WebAssembly.Memory[],
    team: Team,
    logits: WebAssembly.Module,
    options: LoadOptions,
  ) {
    this.slots = new Slots(options.max_sequences ?? LOGIT_ROWS);
    this.host = instantiate(planned.build.module, banks[0], hostStackTop(planned.state.threads));
    this.profile = options.profile ? new Profile(planned.state.threads) : undefined;
    this.platform = platform;
    this.planned = planned;
    this.shape = planned.shape;
    this.state = planned.state;
    this.banks = banks;
    this.team = team;
    const { faster_dot } = planned.build;
    if (faster_dot) team.tell({ dot: faster_dot.choose() } satisfies DotChosen);
    this.home = banks[0];
    this.logits = loadLogits(logits, this.home);
    this.workspaces = new Regions(this.state.workspaces, this.state.workspaces + WORKSPACE_BYTES, 64);
    const { heads, kv_heads } = this.shape;
    const { threads, rows, end } = this.state;
    const matrices = {
      threads,
      bytes: (slots: number) => alignUp(this.host.attention_matrix(heads / kv_heads, rows, slots + rows), 64),
    };
    const announce = (index: number, memory: WebAssembly.Memory) => this.addBank(index, memory);
    this.store = new CacheStore(
      this.shape,
      end,
      banks.length,
      announce,
      options.attn_implementation === "eager" ? matrices : undefined,
    );
    const mapped = planned.filling.mapper ? planned.plan.segments.map(({ file }) => file) : [];
    const watch = new FileWatch([...new Set(mapped)]);
    this.scheduler = new Scheduler(this.state.rows, this.state.logit_rows, async (step) => {
      await watch.check();
      const results = await this.team.step(step);
      this.profile?.add(step, results as PhaseRecord[][]);
    });
  }

  /**
   * Loads a checkpoint's weights and starts the team. The checkpoint stays the caller's, to be closed when this returns.
   * @param head - the checkpoint must have a language-model head
   * @throws MemoryError when a memory cannot be had, CheckpointError when a file fails, the signal's reason when aborted
   */
  static async load(platform: Platform, checkpoint: Checkpoint, options: LoadOptions, head: boolean): Promise<Engine> {
    const { signal } = options;
    signal?.throwIfAborted();
    const planned = await planEngine(platform, checkpoint, options);
    signal?.throwIfAborted();
    const { shape, build, kinds, state, filling, plan } = planned;
    const { threads } = state;
    if (head && !plan.model.lm_head)
      throw new CheckpointError(
        `${checkpoint.path}: expected lm_head.weight (output.weight), found none: this is no language model`,
      );
    if (options.check_tensors) await checkTensors(checkpoint, signal);
    const logits = await WebAssembly.compile((await platform.wasm("logits.wasm")) as BufferSource);
    const available = platform.available_memory();
    if (!filling.mapper && available !== undefined && plan.weight_bytes > available) {
      throw new MemoryError(
        `${checkpoint.path}: its weights take ${plan.weight_bytes} bytes of memory (they cannot be mapped: ${filling.reason}), ${available} are free`,
        plan.weight_bytes,
        available,
      );
    }
    const banks = plan.bank_bytes.map((bytes, i) => createBank(bytes, `weight bank ${i} of ${plan.bank_bytes.length}`));
    let team: Team | undefined;
    try {
      const kernels = banks.map((memory) => instantiate(build.module, memory, hostStackTop(threads)));
      const setup: Setup = {
        module: build.module,
        shape,
        state,
        kinds,
        model: plan.model,
        banks,
        profile: !!options.profile,
      };
      // Threads start while the weights come in; a failure of either is waited for with the other.
      const starting = Team.start(platform, threads, setup, signal);
      build.faster_dot?.prepare();
      const results = await Promise.allSettled([
        starting,
        fillBanks(plan, banks, filling, signal, progressOf(options, checkpoint, plan)),
        fillConstants(plan, banks, kernels, state.x, signal),
      ]);
      if (results[0].status === "fulfilled") team = results[0].value;
      for (const result of results) if (result.status === "rejected") throw result.reason;
      await new FileWatch(checkpoint.files).checkLoaded();
      signal?.throwIfAborted();
      return new Engine(platform, planned, banks, team!, logits, options);
    } catch (error) {
      await team?.dispose();
      await emptyBanks(platform, banks, false);
      throw error;
    }
  }

  private addBank(index: number, memory: WebAssembly.Memory): void {
    const kernels: KernelInstance = instantiate(this.planned.build.module, memory, hostStackTop(this.state.threads));
    const { rope_theta, rope_factor, head_dim } = this.shape;
    kernels.rope_inv_freq(rope_theta, rope_factor, head_dim, this.state.inv_freq);
    this.team.tell({ index, memory } satisfies BankAdded);
  }

  /**
   * Computes some rows in one of the next steps.
   * @param read - is given the logits in place, (rows, logits_stride) from the part's first row on, before the next step
   *   overwrites them
   */
  submit<T>(part: Step, read: (logits_address: number) => T, signal?: AbortSignal): Promise<T> {
    if (this.disposed) return Promise.reject(new EngineError("the model was disposed"));
    const { logits, logits_stride } = this.state;
    return this.scheduler.submit(part, (first) => read(logits + first * logits_stride * 4), signal);
  }

  /** −log softmax(logits)[label], in nats. @param logits - f32 (vocab) */
  negativeLogLikelihood(logits: Float32Array, label: number): number {
    const { vocab } = this.shape;
    const bytes = 2 * alignUp(vocab * 16, 64);
    const scratch = this.workspaces.take(bytes);
    if (scratch === undefined)
      throw new MemoryError(
        `the loss over ${vocab} tokens needs ${bytes} bytes, ${this.workspaces.available} are free`,
        bytes,
        this.workspaces.available,
      );
    try {
      const at = scratch + alignUp(vocab * 16, 64);
      const values = new Float32Array(this.home.buffer, at, vocab);
      values.set(logits);
      this.logits.log_softmax(at, vocab, scratch);
      return -values[label];
    } finally {
      this.workspaces.give(scratch, bytes);
    }
  }

  info(): ModelInfo {
    return { ...describePlan(this.planned), cache_bytes: this.store.bytes };
  }

  /** Ends the threads and lets go of the files and the memory. Calling it twice is harmless. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.store.close();
    const { idle } = this.team;
    await this.team.dispose();
    await emptyBanks(this.platform, [...this.banks, ...this.store.memories()], idle);
  }
}

/** What a model will be once it is loaded: decided from headers alone. */
export interface EnginePlan {
  readonly shape: ModelShape;
  readonly build: KernelBuild;
  readonly kinds: PackKinds;
  readonly state: RunState;
  readonly filling: Filling;
  readonly plan: WeightPlan;
  /** How many matrices have each format. */
  readonly formats: Record<string, number>;
}

/** @throws CheckpointError when tensors are missing or wrong, MemoryError when a part cannot fit any memory, InputError */
export async function planEngine(
  platform: Platform,
  checkpoint: Checkpoint,
  options: LoadOptions,
): Promise<EnginePlan> {
  checkOptions(options);
  const shape = modelShape(checkpoint.config);
  const weights = bind(checkpoint);
  const build = await loadKernels(platform, options.simd);
  const used = countFormats(weights);
  const used_formats = Object.keys(used).map((name) => formats[name as FormatName]);
  const rows = options.chunk_size ?? CHUNK_ROWS;
  const threads = options.threads ?? platform.cores();
  const { kinds, state } = askKernels(build.module, (kernels) => {
    const kinds = packKinds(kernels, used_formats);
    return { kinds, state: planRunState(shape, kernels, kinds, threads, rows, Math.min(rows, LOGIT_ROWS)) };
  });
  const filling = await chooseFilling(
    platform,
    options.mmap ?? "auto",
    checkpoint.files.every((file) => file.mappable),
  );
  const page_size = filling.mapper?.page_size ?? DEFAULT_PAGE;
  const capacity = options.bank_bytes ? options.bank_bytes + state.end : MAX_BANK_BYTES;
  const plan = planWeights(weights, state.end, page_size, capacity);
  return { shape, build, kinds, state, filling, plan, formats: used };
}

/** The part of `ModelInfo` that is known before loading. */
export function describePlan({
  state,
  build,
  filling,
  plan,
  formats: used,
}: EnginePlan): Omit<ModelInfo, "cache_bytes"> {
  const constants = plan.constants.reduce((sum, { from }) => sum + from.rows * from.cols * 4, 0);
  return {
    threads: state.threads,
    simd: build.simd,
    mapped: filling.mapper !== undefined,
    ...(filling.mapper ? {} : { reason: filling.reason }),
    weight_bytes: plan.weight_bytes,
    banks: plan.bank_bytes.length,
    private_bytes: state.end - WORKSPACE_BYTES + constants + (filling.mapper ? 0 : plan.weight_bytes),
    formats: used,
  };
}

/** How many matrices have each format. */
function countFormats(weights: MixtralWeights): Record<string, number> {
  const counts: Record<string, number> = {};
  const matrices = [
    weights.embed_tokens,
    ...(weights.lm_head && weights.lm_head !== weights.embed_tokens ? [weights.lm_head] : []),
    ...weights.layers.flatMap(({ q_proj, k_proj, v_proj, o_proj, experts }) => [
      ...[q_proj, k_proj, v_proj, o_proj],
      ...experts.flatMap(({ w1, w2, w3 }) => [w1, w2, w3]),
    ]),
  ];
  for (const { format } of matrices) counts[format.name] = (counts[format.name] ?? 0) + 1;
  return counts;
}

/** Tells `progress_callback` of the bytes that have come in. */
function progressOf(options: LoadOptions, checkpoint: Checkpoint, plan: WeightPlan): (loaded: number) => void {
  const { progress_callback } = options;
  if (!progress_callback) return () => {};
  const total = plan.weight_bytes;
  const name = checkpoint.path;
  const file = checkpoint.files[0].path;
  return (loaded) =>
    progress_callback({ status: "progress", name, file, loaded, total, progress: (100 * loaded) / total });
}
