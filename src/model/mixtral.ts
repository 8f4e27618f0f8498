// A loaded Mixtral as callers hold it: model({ input_ids }) runs the forward pass; info, caches and disposal. What
// generates text is built on it in generation/.

import { Callable } from "../callable.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { GenerationConfig } from "../config/generation_config.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { InputError } from "../errors.ts";
import { readAndClose, saveFile } from "../platform/files.ts";
import { currentPlatform } from "../platform/index.ts";
import { Tensor, toRows } from "../tensor.ts";
import { KeyValueCache } from "./cache.ts";
import type { CachedSequence } from "./cache_store.ts";
import { Engine, type ModelInfo } from "./engine.ts";
import { type CheckedInputs, checkInputs, type ForwardInputs, keptColumns, packedSequences } from "./inputs.ts";
import type { LoadOptions } from "./options.ts";
import type { Profile } from "./profile.ts";
import { feed, settled } from "./sequence.ts";

export interface ForwardOutput {
  /** float32 (rows, kept positions, vocab) */
  logits: Tensor;
  /** Mean cross entropy over the labels that count, each against the position before it. */
  loss?: number;
  /** layers + 1 of float32 (rows, length, hidden): the embeddings, then each layer's output, the last normed. */
  hidden_states?: Tensor[];
  /** layers of float32 (rows · length, experts), before the softmax. */
  router_logits?: Tensor[];
  past_key_values?: KeyValueCache;
}

export interface MixtralPreTrainedModel {
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: ForwardInputs): Promise<ForwardOutput>;
}

/** A class of models, with what its static methods need of each other. */
type ModelClass<T> = Pick<typeof MixtralPreTrainedModel, "needs_head" | "from_checkpoint"> & { prototype: T };

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralPreTrainedModel extends Callable {
  readonly config: MixtralConfig;
  readonly generation_config: GenerationConfig;
  /** The engine underneath, for the parts of this library. */
  readonly engine: Engine;
  private readonly options: LoadOptions;
  /** Whether a checkpoint of this class must hold lm_head. */
  static readonly needs_head: boolean = false;

  protected constructor(
    engine: Engine,
    config: MixtralConfig,
    generation_config: GenerationConfig,
    options: LoadOptions,
  ) {
    super();
    this.engine = engine;
    this.config = config;
    this.generation_config = generation_config;
    this.options = options;
  }

  /**
   * Opens a checkpoint and starts the engine.
   * @param path - a Hugging Face folder, or a .gguf file
   * @throws CheckpointError, ConfigError or MemoryError; the signal's reason when aborted
   */
  static async from_pretrained<T extends MixtralPreTrainedModel>(
    this: ModelClass<T>,
    path: string,
    options: LoadOptions = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const repository = await openRepository(await currentPlatform(), path);
    const checkpoint = await openCheckpoint(repository, { config: options.config as MixtralConfig | undefined });
    try {
      return await this.from_checkpoint(checkpoint, options);
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * Starts the engine on an open checkpoint, for the parts of this library. It stays the caller's, to be closed afterwards.
   * @throws what from_pretrained does
   */
  static async from_checkpoint<T extends MixtralPreTrainedModel>(
    this: ModelClass<T>,
    checkpoint: Checkpoint,
    options: LoadOptions = {},
  ): Promise<T> {
    const name = checkpoint.path;
    const tell = (status: "initiate" | "done" | "ready") =>
      options.progress_callback?.({
        status,
        name,
        file: name,
        loaded: 0,
        total: 0,
        progress: status === "initiate" ? 0 : 100,
      });
    tell("initiate");
    let engine: Engine | undefined;
    try {
      engine = await Engine.load(await currentPlatform(), checkpoint, options, this.needs_head);
      tell("done");
      const generation_config = new GenerationConfig(checkpoint.generation_config);
      const Class = this as unknown as new (...args: unknown[]) => T;
      const model = new Class(engine, checkpoint.config, generation_config, options);
      tell("ready");
      return model;
    } catch (error) {
      await engine?.dispose();
      throw error;
    }
  }

  /** Positions that a sequence can have, whatever a call asks for; a window makes any number possible. */
  get context(): number {
    const { window, max_positions } = this.engine.shape;
    const positions = window ? max_positions : (this.options.context ?? this.config.max_position_embeddings);
    return Math.min(positions, max_positions);
  }

  /**
   * An empty cache.
   * @param rows - sequences
   * @param positions - that each can hold
   * @throws {@link InputError} beyond the context, MemoryError when it cannot be had
   */
  create_cache(rows: number, positions: number): KeyValueCache {
    if (positions > this.context)
      throw new InputError(`a sequence of ${positions} tokens was asked for, the context holds ${this.context}`);
    const { store } = this.engine;
    const sequences: CachedSequence[] = [];
    try {
      for (let i = 0; i < rows; i++) {
        sequences.push({ ring: store.create(positions, this.options.kv_dtype ?? "f32"), length: 0 });
      }
    } catch (error) {
      for (const { ring } of sequences) store.free(ring);
      throw error;
    }
    return new KeyValueCache(this.cacheOwner(), sequences);
  }

  private cacheOwner() {
    const { shape, store, platform } = this.engine;
    const write_file = (path: string, data: Uint8Array) => saveFile(platform, path, (file) => file.write(data));
    return { shape, store, write_file };
  }

  /** Reads a cache that `past_key_values.save` wrote. @throws {@link InputError} when it is of another model */
  async load_cache(path: string): Promise<KeyValueCache> {
    const data = await readAndClose(await this.engine.platform.open(path), 2 ** 33);
    return KeyValueCache.load(this.cacheOwner(), data, path);
  }

  async _call(inputs: ForwardInputs): Promise<ForwardOutput> {
    return this.forward(inputs);
  }

  async forward(inputs: ForwardInputs): Promise<ForwardOutput> {
    const { engine } = this;
    const checked = checkInputs(inputs, engine.shape);
    const { rows, length } = checked;
    const keep = keptColumns(inputs.labels === undefined ? inputs.logits_to_keep : 0, length);
    const keeps_cache = inputs.use_cache ?? (this.config.use_cache && inputs.labels === undefined);
    const given = inputs.past_key_values;
    const packed =
      inputs.position_ids !== undefined && inputs.attention_mask === undefined && inputs.use_cache === false;
    const parts = rows.flatMap((row, b) =>
      (packed && !given ? packedSequences(row) : [row]).map((part) => ({ b, part })),
    );
    const cache = given ?? this.create_cache(parts.length, length);
    const give_back = cache.acquire();
    const out = new Collected(this, checked, keep, inputs);
    const mark = cache.mark();
    try {
      for (const [i, { part }] of parts.entries()) cache.reserve(i, part.columns.length, this.context);
      await settled(parts.map(({ b, part }, i) => out.feed(b, part, cache.sequences[i])));
      cache.advance(length);
    } catch (error) {
      if (given) given.restore(mark);
      else cache.dispose();
      throw error;
    } finally {
      give_back();
    }
    if (!given && !keeps_cache) cache.dispose();
    else if (!given) cache.disposeWhenForgotten();
    return { ...out.output(), ...(keeps_cache ? { past_key_values: cache } : {}) };
  }

  /** What every step took, phase by phase; undefined unless the option `profile` was given. */
  get profile(): Profile | undefined {
    return this.engine.profile;
  }

  info(): ModelInfo {
    return this.engine.info();
  }

  /** Ends the threads and gives the memory back. Pending calls are rejected; calling it twice is harmless. */
  dispose(): Promise<void> {
    return this.engine.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The results of a forward call, put together from its chunks. */
class Collected {
  private readonly engine: Engine;
  private readonly checked: CheckedInputs;
  private readonly inputs: ForwardInputs;
  private readonly keep: Uint32Array;
  /** Where a column's logits go, or -1. */
  private readonly place: Int32Array;
  private readonly logits: Float32Array; // (rows, kept, vocab)
  private readonly hidden: Float32Array[] | undefined; // layers + 1 of (rows, length, hidden)
  private readonly router: Float32Array[] | undefined; // layers of (rows · length, experts)

  constructor(model: MixtralPreTrainedModel, checked: CheckedInputs, keep: Uint32Array, inputs: ForwardInputs) {
    this.engine = model.engine;
    this.checked = checked;
    this.inputs = inputs;
    this.keep = keep;
    const { vocab, hidden, layers, experts } = model.engine.shape;
    const { rows, length } = checked;
    const positions = rows.length * length;
    this.place = new Int32Array(length).fill(-1);
    keep.forEach((column, i) => {
      this.place[column] = i;
    });
    this.logits = new Float32Array(rows.length * keep.length * vocab);
    const {
      output_hidden_states = model.config.output_hidden_states,
      output_router_logits = model.config.output_router_logits,
    } = inputs;
    const states = (count: number, width: number) =>
      Array.from({ length: count }, () => new Float32Array(positions * width));
    this.hidden = output_hidden_states ? states(layers + 1, hidden) : undefined;
    this.router = output_router_logits ? states(layers, experts) : undefined;
  }

  /** Runs one row of the batch and copies out what is wanted of each chunk. */
  feed(b: number, row: CheckedInputs["rows"][number], sequence: CachedSequence): Promise<void> {
    const { engine, place, checked } = this;
    const { vocab, hidden, experts } = engine.shape;
    const { logits_stride } = engine.state;
    const options = {
      wants: (i: number) => place[row.columns[i]] >= 0,
      hidden_states: !!this.hidden,
      router_logits: !!this.router,
      signal: this.inputs.signal,
    };
    return feed(engine, sequence, row, options, ({ start, tokens, logits, wanted, hidden_states, router_logits }) => {
      wanted.forEach((i, n) => {
        const from = new Float32Array(engine.home.buffer, logits + n * logits_stride * 4, vocab);
        this.logits.set(from, (b * this.keep.length + place[row.columns[i]]) * vocab);
      });
      const scatter = (source: Float32Array, target: Float32Array[], width: number) => {
        for (const [layer, data] of target.entries()) {
          for (let t = 0; t < tokens; t++) {
            const at = (layer * tokens + t) * width;
            data.set(source.subarray(at, at + width), (b * checked.length + row.columns[start + t]) * width);
          }
        }
      };
      if (hidden_states) scatter(hidden_states, this.hidden!, hidden);
      if (router_logits) scatter(router_logits, this.router!, experts);
    });
  }

  output(): ForwardOutput {
    const { rows, length } = this.checked;
    const { vocab, hidden, experts } = this.engine.shape;
    const out: ForwardOutput = { logits: new Tensor("float32", this.logits, [rows.length, this.keep.length, vocab]) };
    if (this.hidden)
      out.hidden_states = this.hidden.map((data) => new Tensor("float32", data, [rows.length, length, hidden]));
    if (this.router)
      out.router_logits = this.router.map((data) => new Tensor("float32", data, [rows.length * length, experts]));
    if (this.inputs.labels !== undefined) out.loss = this.loss(toRows(this.inputs.labels, "labels"));
    return out;
  }

  /** Mean over the labels that count of −log softmax(logits before them). */
  private loss(labels: Int32Array[]): number {
    const { rows, length } = this.checked;
    const { vocab } = this.engine.shape;
    if (labels.length !== rows.length || labels[0].length !== length)
      throw new InputError(
        `labels: expected [${rows.length}, ${length}], found [${labels.length}, ${labels[0]?.length}]`,
      );
    let sum = 0;
    let count = 0;
    for (const [b, row] of labels.entries()) {
      for (let i = 1; i < length; i++) {
        if (row[i] === -100) continue;
        if (row[i] < 0 || row[i] >= vocab)
          throw new InputError(`labels[${b}][${i}]: expected -100 or a token id in [0, ${vocab}), found ${row[i]}`);
        const at = (b * length + i - 1) * vocab;
        sum += this.engine.negativeLogLikelihood(this.logits.subarray(at, at + vocab), row[i]);
        count++;
      }
    }
    return sum / count;
  }
}
