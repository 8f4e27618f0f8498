// The classes of models as the page has them: by name and method those of the library, each method a call of the engine's.
import { Callable } from "../callable.ts";
import type { GenerationConfig } from "../config/generation_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { EngineError } from "../errors.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import type { GenerateOutput } from "../generation/generate_output.ts";
import { streamText, streamTokens } from "../generation/stream.ts";
import { transitionScores } from "../generation/transition_scores.ts";
import { shownInOneLine } from "../inspected.ts";
import type { LogitsExports } from "../kernels/logits.ts";
import { checkRowCount } from "../model/cache_rules.ts";
import type { ModelInfo } from "../model/engine.ts";
import { Profile } from "../model/profile.ts";
import { type Tensor, type TokenIds, toRows } from "../tensor.ts";
import type { EngineClient, Remote } from "./client.ts";
import type { Connection } from "./connection.ts";
import { prepared } from "./given.ts";
import { mathOf } from "./math.ts";
import { RemoteCache } from "./remote_cache.ts";
import type { Tagged } from "./wire.ts";

/** What the engine tells of a model when it gives it. */
interface ModelDescription {
  readonly class: string;
  readonly config: PreTrainedConfig;
  readonly generation_config: GenerationConfig;
  readonly context: number;
  readonly positions: number;
}

interface ModelState {
  readonly info: ModelInfo;
  readonly active_adapters: string[];
  readonly profile?: object;
}

const inputs_of = (inputs: unknown): { past_key_values?: unknown } | undefined =>
  typeof inputs === "object" && inputs !== null ? inputs : undefined;

export abstract class RemoteModel extends Callable implements Remote {
  readonly config: PreTrainedConfig;
  readonly generation_config: GenerationConfig;
  readonly context: number;
  /** @internal */
  readonly positions: number;
  /** @internal */
  readonly id: number;
  /** @internal */
  fault: Remote["fault"];
  /** @internal */
  disposed = false;
  /** @internal What of logits.wasm the page computes itself. */
  readonly math: LogitsExports;
  /** @internal */
  protected readonly client: EngineClient;
  private readonly connection: Connection;
  private state: ModelState;
  /** The configs as the engine knows them. */
  private known: string;

  /** @internal */
  constructor(
    connection: Connection,
    client: EngineClient,
    id: number,
    description: ModelDescription,
    state: ModelState,
  ) {
    super();
    this.connection = connection;
    this.client = client;
    this.id = id;
    this.config = description.config;
    this.generation_config = description.generation_config;
    this.context = description.context;
    this.positions = description.positions;
    this.state = state;
    this.math = mathOf();
    this.known = this.settings();
    client.register(this);
    connection.follow(this, client);
  }

  private settings(): string {
    return JSON.stringify([this.config, this.generation_config]);
  }

  /** @internal */
  update(state: unknown): void {
    this.state = state as ModelState;
  }

  /** @internal Calls a method of the engine's model, which has the configs as they are here. */
  protected async ask<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    this.throwFault();
    this.check();
    const settings = this.settings();
    if (settings !== this.known) {
      this.known = settings;
      const [config, generation_config] = JSON.parse(settings);
      this.client.cast(this.id, "settings", [config, generation_config]);
    }
    const result = await this.client.call<T>(this.id, method, args);
    this.throwFault(); // of what was done before it, of which the engine has told meanwhile
    return result;
  }

  /** Throws what a call that nobody waited for has failed with. */
  private throwFault(): void {
    const { fault } = this;
    this.fault = undefined;
    if (fault) throw fault.error;
  }

  /** @internal @throws {@link EngineError} after `dispose` */
  protected check(): void {
    if (this.disposed) throw new EngineError("the model was disposed");
  }

  /** @internal A call that is given arguments by name, among them perhaps a cache that it extends. */
  protected extend<T>(method: string, inputs: unknown): Promise<T> {
    const cache = inputs_of(inputs)?.past_key_values;
    const call = () => this.ask<T>(method, prepared(inputs));
    return cache instanceof RemoteCache ? cache.during(call) : call();
  }

  /** @internal */
  _call(inputs: never): Promise<unknown> {
    return this.forward(inputs);
  }

  forward(inputs: unknown): Promise<unknown> {
    return this.extend("forward", inputs);
  }

  create_cache(rows: number): RemoteCache {
    this.check();
    checkRowCount(rows);
    const id = this.client.newId();
    this.client.cast(this.id, "create_cache", [rows, id]);
    return new RemoteCache(this.client, this, id, {
      columns: 0,
      rows: Array.from({ length: rows }, () => ({ length: 0, least: 0 })),
      incomplete: false,
    });
  }

  load_cache(path: string): Promise<RemoteCache> {
    return this.ask("load_cache", path);
  }

  load_adapter(source: unknown, options: unknown = {}): Promise<void> {
    return this.ask("load_adapter", source, options);
  }

  set_adapter(names: string | readonly string[]): void {
    this.check();
    this.client.cast(this.id, "set_adapter", [names]);
    this.state = {
      ...this.state,
      active_adapters: [names].flat().filter((name) => name != null && name !== "__base__"),
    };
  }

  disable_adapters(): void {
    this.check();
    this.client.cast(this.id, "disable_adapters", []);
  }

  enable_adapters(): void {
    this.check();
    this.client.cast(this.id, "enable_adapters", []);
  }

  active_adapters(): string[] {
    return [...this.state.active_adapters];
  }

  delete_adapter(names: string | readonly string[]): Promise<void> {
    return this.ask("delete_adapter", names);
  }

  get profile(): Profile | undefined {
    const { profile } = this.state;
    return profile && Object.assign(Object.create(Profile.prototype), profile);
  }

  info(): ModelInfo {
    return this.state.info;
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    try {
      await this.client.call(this.id, "dispose", []);
    } finally {
      this.connection.disposed(this, this.client);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

shownInOneLine(RemoteModel, (model) => {
  const { path, threads } = model.info();
  return `${model.constructor.name} { ${path}, ${model.config.num_hidden_layers} layers, ${threads === 1 ? "1 thread" : `${threads} threads`} }`;
});

/** Models without a head. */
export abstract class RemoteBaseModel extends RemoteModel {}

/** Models that generate. */
export abstract class RemoteCausalLM extends RemoteModel {
  async generate(inputs: GenerateInputs): Promise<Tensor | GenerateOutput> {
    return this.extend("generate", inputs);
  }

  /** @internal */
  generated(inputs: GenerateInputs): Promise<GenerateOutput> {
    return this.extend("generated", inputs);
  }

  /** @internal */
  most_tokens(prompt: number): Promise<number> {
    return this.ask("most_tokens", prompt);
  }

  /** @internal */
  cache_suits(cache: RemoteCache, { adapter, adapter_names }: GenerateInputs): Promise<boolean> {
    const named = { ...(adapter === undefined ? {} : { adapter }), ...(adapter_names ? { adapter_names } : {}) };
    return this.ask("cache_suits", cache, named);
  }

  compute_transition_scores(
    sequences: TokenIds,
    scores: readonly Tensor[],
    beam_indices?: TokenIds | null,
    normalize_logits = false,
  ): Tensor {
    return transitionScores(this.math, toRows(sequences, "sequences"), scores, beam_indices, normalize_logits);
  }

  async *stream(inputs: GenerateInputs): AsyncGenerator<string | number, void, void> {
    if (inputs?.tokenizer) yield* streamText(this as never, inputs, inputs.tokenizer as never);
    else yield* streamTokens(this as never, inputs);
  }
}

/** How one is made. */
type RemoteClass = new (...args: readonly unknown[]) => RemoteModel;

class MixtralModel extends RemoteBaseModel {}
class MistralModel extends RemoteBaseModel {}
class MixtralForCausalLM extends RemoteCausalLM {}
class MistralForCausalLM extends RemoteCausalLM {}
class MixtralForSequenceClassification extends RemoteModel {}
class MixtralForTokenClassification extends RemoteModel {}
class MixtralForQuestionAnswering extends RemoteModel {}

/** The classes by the names that the engine and users have for them. */
export const remoteClasses = {
  MixtralModel,
  MistralModel,
  MixtralForCausalLM,
  MistralForCausalLM,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  MixtralForQuestionAnswering,
};

// A bundler may have given them shorter ones.
for (const [name, value] of Object.entries(remoteClasses)) Object.defineProperty(value, "name", { value: name });

/** What stands for a model or a cache that the engine gave. */
export function makeRemote(connection: Connection, client: EngineClient, id: number, tagged: Tagged): object {
  const { kind, state, model } = tagged as unknown as { kind: string; state: never; model: number };
  // Whose model is gone is of no use any more.
  if (kind === "cache") {
    const owner = client.find(model) as RemoteModel | undefined;
    return new RemoteCache(client, owner ?? { disposed: true }, id, state);
  }
  const description = tagged as unknown as ModelDescription;
  const Class = remoteClasses[description.class as keyof typeof remoteClasses] as unknown as RemoteClass;
  return new Class(connection, client, id, description, state);
}
