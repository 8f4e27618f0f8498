// What the engine's worker does for a page: the ordinary library, its functions and its models' methods by their names.
import { laterAnswer } from "../callbacks.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { EngineError, InputError } from "../errors.ts";
import { AutoClass } from "../generation/auto.ts";
import type { CausalLM } from "../generation/causal_lm.ts";
import { env } from "../hub/settings.ts";
import { type AssetLocations, configure } from "../platform/assets.ts";
import { currentPlatform } from "../platform/index.ts";
import { makeTokenizer, type TokenizerData, type TokenizerSettings } from "../text/tokenizer_data.ts";
import * as library from "./library.ts";
import type { CacheState } from "./messages.ts";
import type { EngineServer, Service } from "./server.ts";
import { dataOf } from "./tokenizers.ts";
import type { Tagged } from "./wire.ts";

const { KeyValueCache, PreTrainedModel } = library;

interface Loader {
  from_pretrained(source: never, options: never): Promise<library.PreTrainedModel>;
  from_config(config: never, options: never): Promise<library.PreTrainedModel>;
}
type Args = readonly never[];

/** What is loaded when it is called. */
type Tools = typeof import("./tools.ts");
const tools = (): Promise<Tools> => import("./tools.ts");

/** The classes of models, and those that choose one. */
const loaders = new Map<string, Loader>(
  Object.entries(library as unknown as Record<string, unknown>).filter(
    ([, value]) =>
      value instanceof AutoClass || (value as { prototype?: unknown })?.prototype instanceof PreTrainedModel,
  ) as [string, Loader][],
);

const classNames = new Map<unknown, string>([...loaders].map(([name, Class]) => [Class, name]));

const loader = (name: string): Loader => {
  const found = loaders.get(name);
  if (!found) throw new InputError(`expected a class of models, found ${name}`);
  return found;
};

export class LibraryService implements Service {
  private readonly models = new Set<library.PreTrainedModel>();
  /** Tokenizers that the page has, too, by their numbers. */
  private readonly tokenizers = new Map<number, library.Tokenizer | Promise<library.Tokenizer>>();
  server!: EngineServer;

  private readonly functions: Readonly<Record<string, (...args: Args) => unknown>> = {
    settings: (settings: typeof env, assets: AssetLocations) => {
      for (const name of Object.keys(env)) delete (env as unknown as Record<string, unknown>)[name];
      Object.assign(env, settings);
      configure(assets);
    },
    from_pretrained: (name: string, source: never, options: never) => loader(name).from_pretrained(source, options),
    from_config: (name: string, config: never, options: never) => loader(name).from_config(config, options),
    config: (source: never, options: never) => library.AutoConfig.from_pretrained(source, options),
    tokenizer: async (source: never, options: never) =>
      this.tellTokenizer(await library.AutoTokenizer.from_pretrained(source, options)),
    pipeline: async (task: never, source: never, options: never) => {
      const { model, tokenizer } = (await library.pipeline(task, source, options)) as library.TextGenerationPipeline;
      return { model, tokenizer: this.tellTokenizer(tokenizer) };
    },
    logits_wasm: async () => (await currentPlatform()).wasm("logits.wasm"),
    perplexity: library.perplexity,
    imatrix: async (...args: Parameters<Tools["imatrix"]>) => (await tools()).imatrix(...args),
    quantize: async (...args: Parameters<Tools["quantize"]>) => (await tools()).quantize(...args),
    convert: async (...args: Parameters<Tools["convert"]>) => (await tools()).convert(...args),
    merge: async (...args: Parameters<Tools["merge"]>) => (await tools()).merge(...args),
    download: library.download,
    "models.list": library.models.list,
    "models.remove": library.models.remove,
    "models.usage": library.models.usage,
  };

  private readonly ofModels: Readonly<Record<string, (model: CausalLM, ...args: Args) => unknown>> = {
    settings: (model, config: PreTrainedConfig, generation_config: library.GenerationConfig) => {
      Object.assign(model.config, config);
      replace(model.generation_config, generation_config);
    },
    forward: (model, inputs: never) => model.forward(inputs),
    generate: (model, inputs: never) => model.generate(inputs),
    generated: (model, inputs: never) => model.generated(inputs),
    most_tokens: (model, prompt: number) => model.most_tokens(prompt),
    cache_suits: (model, cache: library.KeyValueCache, options: library.GenerateInputs) =>
      model.cache_suits(cache, options),
    create_cache: (model, rows: number, id: number) => void this.server.register(model.create_cache(rows), id),
    load_cache: (model, path: string) => model.load_cache(path),
    load_adapter: (model, source: never, options: never) => model.load_adapter(source, options),
    delete_adapter: (model, names: string) => model.delete_adapter(names),
    set_adapter: (model, names: string) => model.set_adapter(names),
    disable_adapters: (model) => model.disable_adapters(),
    enable_adapters: (model) => model.enable_adapters(),
    dispose: (model) => model.dispose(),
  };

  private readonly ofCaches: Readonly<Record<string, (cache: library.KeyValueCache, ...args: Args) => unknown>> = {
    crop: (cache, length: number) => cache.crop(length),
    fork: (cache, id: number) => void this.server.register(cache.fork(), id),
    save: (cache, path: string) => cache.save(path),
    dispose: (cache) => cache.dispose(),
  };

  run(target: object | undefined, method: string, args: readonly unknown[]): unknown {
    const given = args as Args;
    if (!target) return this.functions[method](...given);
    if (target instanceof KeyValueCache) return this.ofCaches[method](target, ...given);
    return this.ofModels[method](target as CausalLM, ...given);
  }

  describe(value: object): { readonly kind: string; readonly [field: string]: unknown } | undefined {
    if (value instanceof KeyValueCache) {
      const owner = [...this.models].find((model) => model.engine.owns(value));
      return { kind: "cache", model: owner && this.server.register(owner) };
    }
    if (!(value instanceof PreTrainedModel)) return undefined;
    this.models.add(value);
    const { config, generation_config, context, positions } = value;
    return { kind: "model", class: classNames.get(value.constructor), config, generation_config, context, positions };
  }

  state(value: object): unknown {
    if (value instanceof KeyValueCache) return cacheState(value);
    const model = value as CausalLM;
    const { chunk: _, ...profile } = { ...model.profile } as { chunk?: unknown };
    return {
      info: model.info(),
      active_adapters: model.active_adapters(),
      ...(model.profile ? { profile } : {}),
    };
  }

  forgotten(value: object): void {
    if (value instanceof KeyValueCache) value.dispose();
    else if (value instanceof PreTrainedModel) {
      this.models.delete(value);
      void value.dispose();
    } else for (const [id, tokenizer] of this.tokenizers) if (tokenizer === value) this.tokenizers.delete(id);
  }

  make(value: Tagged): unknown {
    const id = value.id as number;
    switch (value.$) {
      case "tokenizer":
        return this.tokenizer(id, value);
      case "interruptable": {
        const criterion = new library.InterruptableStoppingCriteria();
        criterion.interrupted = value.interrupted as boolean;
        this.server.watch(id, (interrupted) => {
          criterion.interrupted = interrupted as boolean;
        });
        return criterion;
      }
      case "max_length":
        return new library.MaxLengthCriteria(value.max_length as number);
      case "max_time":
        return new library.MaxTimeCriteria(value.seconds as number);
      case "eos":
        return new library.EosTokenCriteria(value.ids as number[]);
      default:
        throw new EngineError(`the page sent ${value.$}, which the engine does not know`);
    }
  }

  later(call: (...args: unknown[]) => Promise<unknown>): CallableFunction {
    return laterAnswer(call);
  }

  /** A tokenizer for the page, which is to have the same: as data, with a number by which it is meant from then on. */
  private tellTokenizer(tokenizer: library.Tokenizer): unknown {
    const id = this.server.register(tokenizer);
    this.tokenizers.set(id, tokenizer);
    return { id, data: dataOf(tokenizer) };
  }

  /** The tokenizer that the page means, as it has it now. */
  private async tokenizer(id: number, { data, settings }: Tagged): Promise<library.Tokenizer> {
    if (!this.tokenizers.has(id)) {
      if (!data) throw new EngineError("the engine has no such tokenizer any more");
      const made = makeTokenizer(data as TokenizerData);
      this.tokenizers.set(id, made);
      const tokenizer = await made;
      this.tokenizers.set(id, tokenizer);
      this.server.register(tokenizer, id);
    }
    const tokenizer = await this.tokenizers.get(id)!;
    tokenizer.settings = settings as TokenizerSettings;
    return tokenizer;
  }
}

/** What a config says in place of what it said. */
function replace(config: object, by: object): void {
  for (const name of Object.keys(config)) if (!(name in by)) delete (config as Record<string, unknown>)[name];
  Object.assign(config, by);
}

const cacheState = (cache: library.KeyValueCache): CacheState => ({
  columns: cache.get_seq_length(),
  rows: cache.rows.map(({ length, least }) => ({ length, least })),
  incomplete: cache.incomplete,
});
