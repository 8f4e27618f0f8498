// What every class of models is: loading, the forward pass from inputs to results, info, caches and disposal. A class says
// which head it has, what it wants of a call, and what it makes of the results.
import { checkSignal, onAbort } from "../abort.ts";
import { givenOptions } from "../arguments.ts";
import { Callable } from "../callable.ts";
import { CallerPromises } from "../callbacks.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { GenerationConfig } from "../config/generation_config.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { PreTrainedConfig } from "../config/pretrained_config.ts";
import { type ConfigClass, readConfig } from "../config/read_config.ts";
import { show } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { shownInOneLine } from "../inspected.ts";
import { currentPlatform } from "../platform/index.ts";
import type { Tensor } from "../tensor.ts";
import type { HeadName } from "../weights/weights.ts";
import { adapterOptions, type LoadAdapterOptions } from "./adapters.ts";
import type { KeyValueCache } from "./cache.ts";
import type { Engine, ModelInfo } from "./engine.ts";
import { collectOutputs, type ForwardResults, type ForwardWants, RowOutputs } from "./forward_output.ts";
import { checkArguments, checkInputs, type ForwardInputs, type InputRow, packedSequences } from "./inputs.ts";
import { loadEngine } from "./load.ts";
import { type LoadOptions, type ProgressInfo, readOptions } from "./options.ts";
import type { ExactMath } from "./probabilities.ts";
import type { Profile } from "./profile.ts";
import { randomCheckpoint } from "./random_checkpoint.ts";
import { Reading } from "./sequence.ts";

/** What every class gives back where it is asked for. */
export interface ModelOutput {
  /** layers + 1 of float32 (rows, length, hidden): the embeddings, then each layer's output, the last normed. */
  hidden_states?: Tensor[];
  /** layers of float32 (rows · length, experts), before the softmax. */
  router_logits?: Tensor[];
  /** layers of float32 (rows, heads, length, keys), by eager attention. */
  attentions?: Tensor[];
  past_key_values?: KeyValueCache;
}

/** The options of `from_config`. */
export interface RandomOptions extends LoadOptions {
  /** Seeds the weights: the same seed gives the same bits in every runtime. @default 0 */
  seed?: number | bigint | undefined;
}

/** What a class wants of a call beside what was asked for: of its head, and perhaps the last hidden states. */
type HeadWanted = Pick<ForwardWants, "kept" | "size" | "labels"> &
  Partial<Pick<ForwardWants, "hidden_states" | "squares">>;

/** A class of models, with what its static methods need of each other. */
type ModelClass<T> = Pick<typeof PreTrainedModel, "head" | "config_class" | "from_checkpoint"> & { prototype: T };

/** What every class of models is: loaded by `from_pretrained`, called for its forward pass, ended by `dispose`. */
export abstract class PreTrainedModel extends Callable {
  /** The shape and settings. */
  readonly config: PreTrainedConfig;
  /** The model's own settings of `generate`, from its generation_config.json. */
  readonly generation_config: GenerationConfig;
  /** @internal The engine underneath. */
  readonly engine: Engine;
  /** @internal The head that a checkpoint of this class must hold. */
  static readonly head: HeadName | null = null;
  /** @internal The class of its config. */
  static readonly config_class: ConfigClass = MixtralConfig;

  /** Models are made by `from_pretrained` and `from_config`. */
  protected constructor(...parts: never[]);
  /** @internal */
  protected constructor(engine: Engine, config: PreTrainedConfig, generation_config: GenerationConfig);
  protected constructor(engine: Engine, config: PreTrainedConfig, generation_config: GenerationConfig) {
    super();
    this.engine = engine;
    this.config = config;
    this.generation_config = generation_config;
  }

  /**
   * Opens a checkpoint, which is downloaded first where it is on a hub, and starts the engine.
   * @param source - a Hugging Face folder or a .gguf file, by its path or URL, or `owner/name` of a model on a hub
   * @throws CheckpointError, ConfigError or MemoryError; HubError or WriteError where it is to be downloaded; the signal's
   *   reason when aborted
   */
  static async from_pretrained<T extends PreTrainedModel>(
    this: { readonly prototype: T },
    source: ModelSource,
    options: LoadOptions = {},
  ): Promise<T> {
    const Class = this as ModelClass<T>;
    const given = readOptions(options, "from_pretrained");
    const repository = await findRepository(await currentPlatform(), source, "model", given);
    const checkpoint = await openCheckpoint(repository, {
      config: given.config as PreTrainedConfig | undefined,
      config_class: Class.config_class,
    });
    try {
      return await Class.from_checkpoint(checkpoint, given);
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * A model without a checkpoint: random weights of `config.initializer_range`, in float32.
   * @param config - a config, or some of its fields
   * @throws ConfigError or MemoryError
   * @example
   * const config = new MixtralConfig({ vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 });
   * const model = await MixtralForCausalLM.from_config(config, { seed: 7 });
   */
  static async from_config<T extends PreTrainedModel>(
    this: { readonly prototype: T },
    config: PreTrainedConfig | Readonly<Record<string, unknown>>,
    options: RandomOptions = {},
  ): Promise<T> {
    const Class = this as ModelClass<T>;
    const { seed = 0, ...load } = readOptions(options, "from_config", ["seed"]);
    if (typeof seed !== "bigint" && !Number.isSafeInteger(seed))
      throw new InputError(`seed: expected an integer, found ${show(seed)}`);
    if (load.dtype !== undefined && !["auto", "f32", "float32"].includes(load.dtype.toLowerCase()))
      throw new InputError(`dtype: random weights are f32, found ${show(load.dtype)}`);
    if (load.quantization_config !== undefined)
      throw new InputError("quantization_config: random weights are f32, and stay so");
    const checked = config instanceof PreTrainedConfig ? config : readConfig(config, "the config", Class.config_class);
    checked.validate();
    return Class.from_checkpoint(await randomCheckpoint(await currentPlatform(), checked, Class.head, seed), load);
  }

  /**
   * @internal Starts the engine on an open checkpoint. It stays the caller's, to be closed afterwards.
   * @throws what from_pretrained does
   */
  static async from_checkpoint<T extends PreTrainedModel>(
    this: ModelClass<T>,
    checkpoint: Checkpoint,
    options: LoadOptions = {},
  ): Promise<T> {
    const name = checkpoint.path;
    const { config } = checkpoint;
    const told = new CallerPromises();
    const progress_callback = (info: ProgressInfo) => told.add(options.progress_callback?.(info));
    const suits: boolean = config instanceof this.config_class;
    if (!suits)
      throw new CheckpointError(
        `${name}: found model_type "${config.model_type}", which is for another class; the Auto classes choose it`,
      );
    let engine: Engine | undefined;
    const tell = (status: "initiate" | "done" | "ready") => {
      const total = engine?.info().weight_bytes ?? 0;
      progress_callback({ status, name, file: name, loaded: total, total, progress: engine ? 100 : 0 });
    };
    tell("initiate");
    try {
      engine = await loadEngine(await currentPlatform(), checkpoint, { ...options, progress_callback }, this.head);
      tell("done");
      const generation_config = GenerationConfig.from_dict(checkpoint.generation_config);
      const Class = this as unknown as new (...args: unknown[]) => T;
      const model = new Class(engine, config, generation_config);
      tell("ready");
      await told.settled();
      return model;
    } catch (error) {
      await engine?.dispose();
      throw error;
    }
  }

  /** Positions that a sequence can have, whatever a call asks for. A window makes any number possible, where the option says no other. */
  get context(): number {
    return this.engine.context;
  }

  /**
   * @internal Tokens of a text at a time. A sliding window makes any number possible; the model knows
   * those that it was trained with.
   */
  get positions(): number {
    return Math.min(this.config.sliding_window ? this.config.max_position_embeddings : Infinity, this.context);
  }

  /** A cache without tokens, for `rows` sequences. @throws EngineError after `dispose` */
  create_cache(rows: number): KeyValueCache {
    return this.engine.emptyCache(rows).disposeWhenForgotten();
  }

  /** Reads a cache that `past_key_values.save` wrote. @throws {@link InputError} when it is of another model */
  async load_cache(path: string): Promise<KeyValueCache> {
    return (await this.engine.loadCache(path)).disposeWhenForgotten();
  }

  /**
   * Loads a LoRA adapter beside the model, and makes it the active one.
   * @param source - a folder as PEFT writes it: adapter_config.json and adapter_model.safetensors; or `owner/name` on a hub
   * @param options - `adapter_name` ("default"), `scale`, which the file's own is multiplied by (1), `signal`, and the hub's
   * @throws {@link CheckpointError} when it is for another model, or of a kind that is not known; MemoryError;
   *   {@link InputError} when the name is taken; the signal's reason when aborted
   */
  async load_adapter(source: ModelSource, options: LoadAdapterOptions = {}): Promise<void> {
    const given = givenOptions<LoadAdapterOptions>(options, "load_adapter", adapterOptions);
    checkSignal(given.signal);
    await this.engine.adapters.load(source, given);
  }

  /** Makes one adapter, or several, which add up, those of calls that name none. @throws {@link InputError} when one is not loaded */
  set_adapter(names: string | readonly string[]): void {
    this.engine.adapters.set(names);
  }

  /** Has calls that name no adapter run without. */
  disable_adapters(): void {
    this.engine.adapters.enable(false);
  }

  /** Takes `disable_adapters` back. */
  enable_adapters(): void {
    this.engine.adapters.enable(true);
  }

  /** The names that `set_adapter` has set, whether or not adapters are disabled. */
  active_adapters(): string[] {
    return this.engine.adapters.active_names;
  }

  /**
   * Forgets adapters. Calls that have begun with one keep it.
   * @returns when the last of those has ended, and the memory is given back
   * @throws {@link InputError} when one is not loaded
   */
  async delete_adapter(names: string | readonly string[]): Promise<void> {
    await this.engine.adapters.delete(names);
  }

  /** @internal Arguments of the class's forward pass beside those of every class. */
  protected readonly own_arguments: readonly string[] = [];

  /** @internal */
  async _call(inputs: never): Promise<ModelOutput> {
    return this.forward(inputs);
  }

  /** The forward pass, which calling the model is, too. @throws {@link InputError} naming the argument that is wrong */
  async forward(inputs: ForwardInputs): Promise<ModelOutput> {
    const routed = this.config instanceof MixtralConfig ? ["output_router_logits"] : [];
    return this.compute(checkArguments(inputs, [...this.own_arguments, ...routed]));
  }

  /** @internal The forward pass of the class. */
  protected abstract compute(inputs: ForwardInputs): Promise<ModelOutput>;

  /**
   * @internal The forward pass.
   * @param wants_of - what is wanted of it, from the number of rows and their length
   * @param use_cache - what holds where the call says nothing
   * @throws {@link InputError} naming the argument that is wrong; the signal's reason when aborted
   */
  protected async run(
    inputs: ForwardInputs,
    wants_of: (rows: readonly InputRow[], length: number) => HeadWanted,
    use_cache = this.config.use_cache,
  ): Promise<ForwardResults & { past_key_values?: KeyValueCache }> {
    const { engine } = this;
    const { shape } = engine;
    engine.check();
    engine.checkCache(inputs.past_key_values);
    const { rows, length } = checkInputs(inputs, shape);
    const adapters = engine.adapters.choose(inputs, rows.length);
    const wants: ForwardWants = { ...this.insides(inputs), ...wants_of(rows, length) };
    const keeps_cache = inputs.use_cache ?? use_cache;
    const given = inputs.past_key_values;
    const packed =
      inputs.position_ids !== undefined &&
      inputs.attention_mask === undefined &&
      !(inputs.use_cache ?? this.config.use_cache);
    const parts = rows.flatMap((row, b) =>
      (packed && !given ? packedSequences(row) : [row]).map((part) => ({ b, part })),
    );
    const cache = given ?? engine.emptyCache(parts.length);
    const leave = cache.acquire();
    const release = engine.adapters.hold(adapters);
    const mark = cache.mark();
    try {
      cache.adapt(parts.map(({ b }) => adapters[b]));
      for (const [i, { part }] of parts.entries()) {
        this.checkLength(i, cache.rows[i].length + part.columns.length);
        cache.rows[i].hide(part.hides);
      }
      const outputs = parts.map(({ b, part }, i) => new RowOutputs(shape, b, part, cache.rows[i].length, wants));
      await this.read(
        parts
          .map(({ part }, i) => new Reading(cache.rows[i], part, (from, to) => outputs[i].wants(from, to)))
          .filter(({ pending }) => pending > 0),
        inputs.signal,
      );
      cache.advance(length);
      const results = collectOutputs(this.math, shape, outputs, rows.length, length, wants);
      if (!given && !keeps_cache) cache.dispose();
      else if (!given) cache.disposeWhenForgotten();
      return { ...results, ...(keeps_cache ? { past_key_values: cache } : {}) };
    } catch (error) {
      if (given) given.restore(mark);
      else cache.dispose();
      throw error;
    } finally {
      release();
      leave();
    }
  }

  /**
   * @internal Reads a text from its first token, and adds the squares of what each matrix is multiplied
   * by to `squares` (see squares.ts).
   * @returns the last hidden states, float32 (1, ids, hidden), where `normed`: what the head is multiplied by
   */
  async sum_squares(
    ids: readonly number[],
    squares: Float64Array,
    normed: boolean,
    signal?: AbortSignal,
  ): Promise<Tensor | undefined> {
    const inputs = { input_ids: ids, signal, output_attentions: false, output_router_logits: false };
    const hidden_states = normed && "last";
    const results = await this.run(inputs, () => ({ kept: null, size: 0, hidden_states, squares }), false);
    return results.hidden_states?.[0];
  }

  /** @internal */
  get math(): ExactMath {
    return this.engine.logits.exports;
  }

  /** What is wanted of what lies inside. */
  private insides(inputs: ForwardInputs): Pick<ForwardWants, "hidden_states" | "router_logits" | "attentions"> {
    const { config, engine } = this;
    const attentions = inputs.output_attentions ?? config.output_attentions;
    if (attentions && !engine.maps_attention)
      throw new InputError(
        'output_attentions: there is no room for attention maps of this context and so many threads: load the model with attn_implementation: "eager", or less of either',
      );
    return {
      hidden_states: inputs.output_hidden_states ?? config.output_hidden_states,
      router_logits: config instanceof MixtralConfig && (inputs.output_router_logits ?? config.output_router_logits),
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
    let forget = () => {};
    const abort = new Promise<never>((_, reject) => {
      forget = onAbort(signal, () => reject(signal!.reason));
    });
    try {
      scheduler.add(readings);
      await Promise.race([abort, Promise.all(readings.map(({ finished }) => finished))]);
    } catch (error) {
      // Until no step writes to their pages any more.
      await Promise.all(readings.map((reading) => scheduler.remove(reading)));
      throw error;
    } finally {
      forget();
    }
  }

  /** What every step took, phase by phase; undefined unless the option `profile` was given. */
  get profile(): Profile | undefined {
    return this.engine.profile;
  }

  /** What was loaded, where it is, and the memory that it takes. */
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

shownInOneLine(PreTrainedModel, (model) => {
  const { path, threads, mapped, formats } = model.info();
  // Norms and biases are F32 beside whatever the matrices are.
  const most = Object.keys(formats).reduce((a, b) => (formats[b] > formats[a] ? b : a));
  const parts = [
    path,
    `${model.config.num_hidden_layers} layers`,
    most,
    threads === 1 ? "1 thread" : `${threads} threads`,
  ];
  return `${model.constructor.name} { ${[...parts, mapped ? "mapped" : "read"].join(", ")} }`;
});
