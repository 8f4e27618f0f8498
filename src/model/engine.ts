// The engine: a loaded model. It owns the memories, the team of threads, the caches' pages and the scheduler, and their end.
import { textArgument } from "../arguments.ts";
import type { ModelShape } from "../config/shape.ts";
import { show } from "../config/show.ts";
import { EngineError, InputError } from "../errors.ts";
import { STACK_BYTES } from "../kernels/abi.ts";
import { askKernels } from "../kernels/load.ts";
import { type LogitsExports, loadLogits } from "../kernels/logits.ts";
import { chosenOf } from "../kernels/read_ahead.ts";
import { KvPool } from "../memory/kv_pool.ts";
import { WORKSPACE_BYTES } from "../memory/layout.ts";
import { emptyBanks } from "../memory/load.ts";
import { Regions } from "../memory/regions.ts";
import { FileWatch } from "../memory/watch.ts";
import type { ExpertsInfo, Readers } from "../paging/readers.ts";
import { saveFile } from "../platform/files.ts";
import type { Platform } from "../platform/platform.ts";
import { rowBytes } from "../quant/formats.ts";
import type { Team } from "../threads/team.ts";
import { type AdapterInfo, Adapters } from "./adapters.ts";
import { type CacheOwner, KeyValueCache } from "./cache.ts";
import { type CacheMemory, hashRanges, readCache, writeCache } from "./cache_file.ts";
import { checkRowCount } from "./cache_rules.ts";
import type { LoadOptions } from "./options.ts";
import { mostPages, type PageList } from "./pages.ts";
import { describePlan, type EnginePlan, MAX_SEQUENCES } from "./plan.ts";
import { Profile } from "./profile.ts";
import type { Rotary } from "./rotary.ts";
import { Scheduler } from "./scheduler.ts";
import type { Job, JobResult, Notice, Setup } from "./step.ts";

export type EngineTeam = Team<Setup, Job, Notice, JobResult>;

/** How long a step may take while others wait, in milliseconds. */
const STEP_MS = 250;

/** Values at the start of each layer's k_proj that tell one model's weights from another's. */
const FINGERPRINT_VALUES = 256;

/** What `model.info()` tells. */
export interface ModelInfo {
  /** Where the checkpoint is: a folder or a file. */
  path: string;
  threads: number;
  /** What computes. */
  device: "wasm" | "native";
  /** Which of the processor's vector units native kernels use, e.g. `avx512_vnni`. */
  vector_units?: string;
  /** Why not native kernels, where those were not refused. */
  device_reason?: string;
  /** The build of the kernels in WebAssembly. */
  simd: "plain" | "relaxed";
  /** Whether weights are mapped from their files. */
  mapped: boolean;
  /** Why weights were read, where they were; before that why there is one thread, where a browser's page can have no more. */
  reason?: string;
  /** Bytes of weights, as the files hold them. */
  weight_bytes: number;
  /** Memories that the weights are spread over. */
  banks: number;
  /** Bytes that are this process's own once used: buffers and constants, and the weights where they were read. */
  private_bytes: number;
  /** Bytes of caches now, and at most. */
  cache_bytes: number;
  kv_bytes: number;
  /** How many matrices have each format, in the files. */
  formats: Record<string, number>;
  /**
   * Whether tokens are multiplied with bursts of reading ahead, as soon as that was timed, by the format in memory: Q4_0 and
   * Q4_K that are read, not mapped, become `Q4_0_R` and `Q4_K_R`, whose products are the same bits.
   */
  read_ahead: Record<string, boolean>;
  /** Those that are loaded. */
  adapters: AdapterInfo[];
  /** Under a `memory_budget`: what the experts take, and how often one was there when it was wanted. */
  experts?: ExpertsInfo;
}

/** The memory that samplers work in, in bank 0. */
export interface LogitsMemory {
  readonly memory: WebAssembly.Memory;
  readonly exports: LogitsExports;
  readonly regions: Regions;
}

export class Engine {
  readonly shape: ModelShape;
  readonly scheduler: Scheduler;
  /** Positions that a sequence can have. */
  readonly context: number;
  readonly max_sequences: number;
  /** Rows of a prompt's chunk at most. */
  readonly chunk_rows: number;
  /** Whether there is room for attention's whole matrices. */
  readonly maps_attention: boolean;
  readonly logits: LogitsMemory;
  /** What every step took, where the option `profile` was given. */
  readonly profile: Profile | undefined;
  readonly adapters: Adapters;
  private readonly platform: Platform;
  private readonly plan: EnginePlan;
  private readonly banks: readonly WebAssembly.Memory[];
  private readonly team: EngineTeam;
  private readonly choices: Int32Array;
  private readonly pool: KvPool;
  private readonly owner: CacheOwner;
  private readonly readers: Readers | undefined;
  private disposed = false;

  constructor(
    platform: Platform,
    plan: EnginePlan,
    banks: readonly WebAssembly.Memory[],
    team: EngineTeam,
    rotary: Rotary,
    choices: Int32Array,
    options: LoadOptions,
    readers: Readers | undefined,
  ) {
    const { shape, state, kernels, source, weights, paging } = plan;
    this.readers = readers;
    this.platform = platform;
    this.plan = plan;
    this.banks = banks;
    this.team = team;
    this.choices = choices;
    this.shape = shape;
    this.context = plan.context;
    this.max_sequences = options.max_sequences ?? MAX_SEQUENCES;
    this.chunk_rows = state.lanes[0].rows;
    this.maps_attention = plan.kv.matrices !== undefined;
    this.profile = options.profile ? new Profile(state.threads) : undefined;
    const { faster_dot } = kernels.build;
    if (faster_dot) team.notify({ type: "dot", dot: faster_dot.choose() });
    this.logits = {
      memory: banks[0],
      exports: loadLogits(plan.logits, banks[0]),
      regions: new Regions(state.workspaces, state.workspaces + WORKSPACE_BYTES, 64),
    };
    this.pool = new KvPool(plan.kv);
    this.owner = { pool: this.pool, window: shape.window, save: (...args) => this.saveCache(...args) };
    const { model } = weights;
    this.adapters = new Adapters({
      platform,
      target: {
        shape,
        head: plan.head,
        head_size: model.head?.weights.rows ?? 0,
        tied: model.head?.weights === model.embed_tokens.weights,
      },
      state,
      adapters: plan.adapters,
      interleaved: model.qk_interleaved,
      notify: (notice) => this.notify(notice),
      check: () => this.check(),
    });
    // What is mapped, or read later.
    const later = source.mapper ? weights.segments : (paging?.experts.flat() ?? []);
    const watch = new FileWatch([...new Set(later.map(({ file }) => file))]);
    this.scheduler = new Scheduler(
      {
        run: (job) => this.run(job),
        wantPause: (wanted) => team.wantPause(wanted),
        chunkDone: () => team.layersPassed / model.layers.length,
        check: () => (watch.due ? watch.check() : undefined),
        nextTurn: (callback) => platform.next_turn(callback),
      },
      {
        pool: this.pool,
        rotary,
        chunk_rows: this.chunk_rows,
        between_rows: state.lanes[1].rows,
        step_ms: options.step_ms ?? STEP_MS,
        max_sequences: this.max_sequences,
      },
    );
  }

  private async run(job: Job): Promise<JobResult> {
    const results = await this.team.run(job);
    if (job.type !== "drop") this.profile?.add(job, results);
    return results[0];
  }

  /** Tells the threads of something that later steps rely on. */
  notify(notice: Notice): void {
    if (!this.disposed) this.team.notify(notice);
  }

  /** @throws {@link EngineError} after `dispose` */
  check(): void {
    if (this.disposed) throw new EngineError("the model was disposed");
  }

  /** Pages of the cache that `tokens` tokens of a sequence take at most, how many there are in all, and bytes of one. */
  pages(tokens: number): { needed: number; all: number; bytes: number } {
    const { shape, plan, pool } = this;
    const needed = mostPages(tokens, shape.window, plan.state.lanes[0].rows);
    return { needed, all: plan.kv.pages, bytes: pool.page_bytes };
  }

  /** Sequences of so many tokens that fill a chunk, and one to begin the next with; fewer where the caches have no room. */
  sequencesAtOnce(tokens: number): number {
    const { needed, all } = this.pages(tokens);
    return Math.max(1, Math.min(Math.ceil(this.chunk_rows / tokens) + 1, Math.floor(all / needed)));
  }

  /** The cache of sequences that are there already. */
  cacheOf(rows: readonly PageList[], columns: number): KeyValueCache {
    return new KeyValueCache(this.owner, rows, columns);
  }

  /** A cache without tokens, for `rows` sequences. */
  emptyCache(rows: number): KeyValueCache {
    this.check();
    checkRowCount(rows);
    return KeyValueCache.empty(this.owner, rows);
  }

  /**
   * Whether a cache that a call was given can go on here.
   * @throws {@link InputError} when it is no cache, or another model's, or another call is extending it
   * @throws {@link EngineError} when it, or its model, was disposed
   */
  checkCache(cache: unknown): void {
    if (cache === undefined) return;
    if (!(cache instanceof KeyValueCache))
      throw new InputError(`past_key_values: expected a cache that this model gave, found ${show(cache)}`);
    if (!cache.isOf(this.owner))
      throw new InputError("past_key_values: expected a cache that this model gave, found another model's");
    cache.check();
  }

  /** Whether a cache lies in this engine's memory. */
  owns(cache: KeyValueCache): boolean {
    return cache.isOf(this.owner);
  }

  /** What cache files are written from and read into. */
  get cacheMemory(): CacheMemory {
    const { shape, pool, banks } = this;
    return { shape, pool, banks, fingerprint: () => this.fingerprint() };
  }

  private fingerprint(): string {
    // Of the values, which are the same however the weights stand in memory.
    return askKernels(this.plan.kernels.instantiate, (kernels, memory) =>
      hashRanges(
        this.plan.weights.model.layers.map(({ k_proj: { weights } }) => {
          const values = Math.min(weights.rows * weights.cols, FINGERPRINT_VALUES);
          const from = new Uint8Array(
            this.banks[weights.banks[0]].buffer,
            weights.addresses[0],
            rowBytes(weights.formats[0], values),
          );
          const [src, dst] = [2 * STACK_BYTES, 3 * STACK_BYTES];
          new Uint8Array(memory.buffer).set(from, src);
          kernels.format(weights.formats[0]).dequantize(src, dst, values);
          return new Uint8Array(memory.buffer, dst, values * 4).slice();
        }),
      ),
    );
  }

  private async saveCache(path: string, columns: number, rows: readonly PageList[]): Promise<void> {
    await saveFile(this.platform, path, (file) => writeCache(this.cacheMemory, file, columns, rows));
  }

  /** Reads what `save` wrote. @throws InputError when it is of another model, MemoryError when there is no room */
  async loadCache(path: string): Promise<KeyValueCache> {
    this.check();
    const file = await this.platform.open(textArgument(path, "load_cache: path"));
    try {
      const { columns, rows } = await readCache(this.cacheMemory, file);
      return this.cacheOf(rows, columns);
    } finally {
      await file.close();
    }
  }

  info(): ModelInfo {
    const read_ahead: Record<string, boolean> = {};
    for (const { name, id } of this.plan.memory_formats) {
      const chosen = chosenOf(this.choices, id);
      if (chosen !== undefined) read_ahead[name] = chosen;
    }
    const { path } = this.plan;
    return {
      path,
      ...describePlan(this.plan),
      cache_bytes: this.pool.bytes,
      read_ahead,
      adapters: this.adapters.info(),
      ...(this.readers ? { experts: this.readers.info() } : {}),
    };
  }

  /** Ends the threads and lets go of the files and the memory. Calling it twice is harmless. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.pool.closed = true;
    const { idle } = this.team;
    const ended = this.team.dispose();
    this.scheduler.close(new EngineError(idle ? "the model was disposed" : "the model was disposed during a step"));
    await ended;
    await this.readers?.dispose();
    await emptyBanks(this.platform, this.banks, idle);
    await this.adapters.dispose(idle);
  }
}
