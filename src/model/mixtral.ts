// A loaded Mixtral as callers hold it: model({ input_ids }) runs the forward pass; info, caches and disposal. What
// generates text is built on it in generation/.

import { Callable } from "../callable.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { GenerationConfig } from "../config/generation_config.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { InputError } from "../errors.ts";
import type { HeadName } from "../memory/plan.ts";
import { currentPlatform } from "../platform/index.ts";
import { type Tensor, toRows } from "../tensor.ts";
import type { KeyValueCache } from "./cache.ts";
import type { Engine, ModelInfo } from "./engine.ts";
import { checkLabels, collectOutputs, type ForwardWants, RowOutputs } from "./forward_output.ts";
import { checkInputs, type ForwardInputs, keptColumns, packedSequences } from "./inputs.ts";
import { loadEngine } from "./load.ts";
import type { LoadOptions } from "./options.ts";
import type { Profile } from "./profile.ts";
import { Reading } from "./sequence.ts";

export interface ForwardOutput {
  /** float32 (rows, kept positions, vocab) */
  logits: Tensor;
  /** Mean cross entropy over the labels that count, each against the position before it. */
  loss?: number;
  /** layers + 1 of float32 (rows, length, hidden): the embeddings, then each layer's output, the last normed. */
  hidden_states?: Tensor[];
  /** layers of float32 (rows · length, experts), before the softmax. */
  router_logits?: Tensor[];
  /** layers of float32 (rows, heads, length, keys), where attention is eager. */
  attentions?: Tensor[];
  past_key_values?: KeyValueCache;
}

export interface MixtralPreTrainedModel {
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: ForwardInputs): Promise<ForwardOutput>;
}

/** A class of models, with what its static methods need of each other. */
type ModelClass<T> = Pick<typeof MixtralPreTrainedModel, "head" | "from_checkpoint"> & { prototype: T };

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralPreTrainedModel extends Callable {
  readonly config: MixtralConfig;
  readonly generation_config: GenerationConfig;
  /** The engine underneath, for the parts of this library. */
  readonly engine: Engine;
  /** The head that a checkpoint of this class must hold. */
  static readonly head: HeadName | undefined = undefined;

  protected constructor(engine: Engine, config: MixtralConfig, generation_config: GenerationConfig) {
    super();
    this.engine = engine;
    this.config = config;
    this.generation_config = generation_config;
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
      engine = await loadEngine(await currentPlatform(), checkpoint, options, this.head);
      tell("done");
      const generation_config = new GenerationConfig(checkpoint.generation_config);
      const Class = this as unknown as new (...args: unknown[]) => T;
      const model = new Class(engine, checkpoint.config, generation_config);
      tell("ready");
      return model;
    } catch (error) {
      await engine?.dispose();
      throw error;
    }
  }

  /** Positions that a sequence can have, whatever a call asks for; a window makes any number possible. */
  get context(): number {
    return this.engine.context;
  }

  /** A cache without tokens, for `rows` sequences. @throws EngineError after `dispose` */
  create_cache(rows: number): KeyValueCache {
    return this.engine.emptyCache(rows);
  }

  /** Reads a cache that `past_key_values.save` wrote. @throws {@link InputError} when it is of another model */
  load_cache(path: string): Promise<KeyValueCache> {
    return this.engine.loadCache(path);
  }

  async _call(inputs: ForwardInputs): Promise<ForwardOutput> {
    return this.forward(inputs);
  }

  async forward(inputs: ForwardInputs): Promise<ForwardOutput> {
    const { engine } = this;
    const { shape } = engine;
    engine.check();
    const { rows, length } = checkInputs(inputs, shape);
    const wants = this.wantsOf(inputs, rows.length, length);
    const keeps_cache = inputs.use_cache ?? (this.config.use_cache && inputs.labels === undefined);
    const given = inputs.past_key_values;
    const packed =
      inputs.position_ids !== undefined && inputs.attention_mask === undefined && inputs.use_cache === false;
    const parts = rows.flatMap((row, b) =>
      (packed && !given ? packedSequences(row) : [row]).map((part) => ({ b, part })),
    );
    const cache = given ?? engine.emptyCache(parts.length);
    const leave = cache.acquire();
    const mark = cache.mark();
    try {
      for (const [i, { part }] of parts.entries()) this.checkLength(i, cache.rows[i].length + part.columns.length);
      const outputs = parts.map(({ b, part }, i) => new RowOutputs(shape, b, part, cache.rows[i].length, wants));
      await this.read(
        parts.map(({ part }, i) => new Reading(cache.rows[i], part, (from, to) => outputs[i].wants(from, to))),
        inputs.signal,
      );
      cache.advance(length);
      const results = collectOutputs(shape, outputs, rows.length, length, wants);
      if (!given && !keeps_cache) cache.dispose();
      else if (!given) cache.disposeWhenForgotten();
      return { ...(results as ForwardOutput), ...(keeps_cache ? { past_key_values: cache } : {}) };
    } catch (error) {
      if (given) given.restore(mark);
      else cache.dispose();
      throw error;
    } finally {
      leave();
    }
  }

  private wantsOf(inputs: ForwardInputs, batch: number, length: number): ForwardWants {
    const labels = inputs.labels === undefined ? undefined : toRows(inputs.labels, "labels");
    if (labels) checkLabels(labels, batch, length, this.engine.shape.vocab);
    const { config, engine } = this;
    const attentions = inputs.output_attentions ?? config.output_attentions;
    if (attentions && !engine.eager)
      throw new InputError(
        'output_attentions: attention maps are computed by eager attention alone: load the model with attn_implementation: "eager"',
      );
    return {
      kept: keptColumns(inputs.logits_to_keep, length),
      labels,
      hidden_states: inputs.output_hidden_states ?? config.output_hidden_states,
      router_logits: inputs.output_router_logits ?? config.output_router_logits,
      attentions,
    };
  }

  /** @throws {@link InputError} when a sequence would be longer than the context */
  private checkLength(row: number, tokens: number): void {
    if (tokens > this.context)
      throw new InputError(`row ${row}: ${tokens} tokens were asked for, the context holds ${this.context}`);
  }

  /** Has the engine read sequences, until all are read or one fails: then the others are taken out again. */
  private async read(readings: readonly Reading[], signal: AbortSignal | undefined): Promise<void> {
    const { scheduler } = this.engine;
    signal?.throwIfAborted();
    let aborted = () => {};
    const abort = new Promise<never>((_, reject) => {
      aborted = () => reject(signal!.reason);
    });
    signal?.addEventListener("abort", aborted);
    try {
      scheduler.add(readings);
      await Promise.race([abort, Promise.all(readings.map(({ finished }) => finished))]);
    } catch (error) {
      // Until no step writes to their pages any more.
      await Promise.all(readings.map((reading) => scheduler.remove(reading)));
      throw error;
    } finally {
      signal?.removeEventListener("abort", aborted);
    }
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
