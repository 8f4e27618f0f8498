// The library's functions and classes as they are on a page: each a call of the engine's worker.
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import type * as Library from "../index.ts";
import { pipelineOf } from "../pipelines/tasks.ts";
import { Connection, type Connector } from "./connection.ts";
import { loadMath } from "./math.ts";
import { encodeObject } from "./objects.ts";
import { makeRemote, RemoteBaseModel, RemoteCausalLM, RemoteModel, remoteClasses } from "./remote_models.ts";
import { type ToldTokenizer, tokenizerFrom } from "./tokenizers.ts";

let connector: Connector | undefined;
let opened: Connection | undefined;

/** @internal Has the engine be reached another way than by a worker of its script: for tests, before the first call. */
export function connectBy(way: Connector): void {
  connector = way;
  opened = undefined;
}

const connection = (): Connection => {
  opened ??= new Connection(
    { make: (client, id, tagged) => makeRemote(opened!, client, id, tagged), encode: encodeObject },
    connector,
  );
  return opened;
};

const client = () => connection().client;

/** A function of the engine's. */
const remote = (name: string) => {
  const call = (...args: unknown[]): Promise<unknown> => client().call(0, name, args);
  return call;
};

/** Loads a model by the class or the Auto class of a name. */
async function load(method: "from_pretrained" | "from_config", ...args: unknown[]): Promise<RemoteModel> {
  return connection().withModel(async (client) => {
    await loadMath(client);
    return client.call<RemoteModel>(0, method, args);
  });
}

const loading = (name: string) => ({
  from_pretrained: (source: unknown, options: unknown = {}) => load("from_pretrained", name, source, options),
  from_config: (config: unknown, options: unknown = {}) => load("from_config", name, config, options),
});

for (const [name, Class] of Object.entries(remoteClasses)) Object.assign(Class, loading(name));

export class AutoClass {
  declare from_pretrained: (source: unknown, options?: unknown) => Promise<RemoteModel>;
  declare from_config: (config: unknown, options?: unknown) => Promise<RemoteModel>;

  /** @internal */
  constructor(name: string) {
    Object.assign(this, loading(name));
  }
}

export const models = {
  list: remote("models.list"),
  remove: remote("models.remove"),
  usage: remote("models.usage"),
};

export const AutoConfig = {
  from_pretrained: (source: unknown, options?: unknown) =>
    client().call<PreTrainedConfig>(0, "config", [source, options]),
};

export const AutoTokenizer = {
  async from_pretrained(source: unknown, options?: unknown): Promise<Library.Tokenizer> {
    const engine = client();
    return tokenizerFrom(engine, await engine.call<ToldTokenizer>(0, "tokenizer", [source, options]));
  },
};

export async function pipeline(task: string, source: unknown, options: unknown = {}): Promise<unknown> {
  return connection().withModel(async (client) => {
    await loadMath(client);
    const { model, tokenizer } = await client.call<{ model: never; tokenizer: ToldTokenizer }>(0, "pipeline", [
      task,
      source,
      options,
    ]);
    return pipelineOf(task as Library.PipelineTask, model, await tokenizerFrom(client, tokenizer));
  });
}

export const [perplexity, imatrix, quantize, convert, merge, download] = [
  "perplexity",
  "imatrix",
  "quantize",
  "convert",
  "merge",
  "download",
].map(remote);

export { RemoteBaseModel, RemoteCausalLM, RemoteModel, remoteClasses };
