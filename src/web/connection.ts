// The page's one engine: its worker, started when it is first needed, ended when no model is left.
import { env } from "../hub/settings.ts";
import { configured, configuredWorker } from "../platform/assets.ts";
import { ENGINE_WORKER } from "../platform/browser_threads.ts";
import { EngineClient, type Maker, workerFailure } from "./client.ts";
import type { Channel } from "./messages.ts";
import type { Tagged } from "./wire.ts";

/** A way to an engine. */
export interface Connector {
  /** @param failed - is told when the engine is gone @returns the channel, and what ends it */
  (failed: (cause: unknown) => void): { readonly channel: Channel; end(): void };
}

/** A module worker of the engine's script. */
const startWorker: Connector = (failed) => {
  const options: WorkerOptions = { type: "module", name: ENGINE_WORKER };
  const configured = configuredWorker();
  // The literal form that bundlers look for.
  const worker = configured
    ? new Worker(configured, options)
    : new Worker(new URL("./engine.js", import.meta.url), { type: "module", name: "tramontane engine" });
  worker.onerror = (event) => {
    event.preventDefault();
    failed(
      event.message ||
        `${configured ?? "engine.js"} cannot be run as a worker: it is not there, no JavaScript, or the page's Content-Security-Policy (worker-src) forbids it`,
    );
  };
  worker.onmessageerror = () => failed("a message could not be received");
  return { channel: worker as unknown as Channel, end: () => worker.terminate() };
};

/** What makes objects that stand for the engine's, and tells it of the page's own. */
interface Objects {
  readonly make: Maker;
  readonly encode: (client: EngineClient, value: object) => Tagged | undefined;
}

export class Connection {
  private readonly connector: Connector;
  private readonly objects: Objects;
  private engine: { readonly client: EngineClient; end(): void } | undefined;
  private told = "";
  /** Models that are loaded or on their way. */
  private models = 0;
  /** Whether there were some, and none is left. */
  private unused = false;
  private readonly forgotten = new FinalizationRegistry<EngineClient>((client) => this.modelGone(client));

  constructor(objects: Objects, connector: Connector = startWorker) {
    this.objects = objects;
    this.connector = connector;
  }

  /** The engine, which knows all settings as they are now. */
  get client(): EngineClient {
    this.engine ??= this.start();
    const { client } = this.engine;
    const { wasm, ...locations } = configured();
    const settings = JSON.stringify([env, locations, Object.keys(wasm ?? {})]);
    if (settings !== this.told) {
      this.told = settings;
      client.cast(0, "settings", [{ ...env }, { ...locations, wasm }]);
    }
    return client;
  }

  private start(): { readonly client: EngineClient; end(): void } {
    this.told = "";
    this.models = 0;
    this.unused = false;
    const { channel, end } = this.connector((cause) => {
      client.fail(workerFailure(cause));
      if (this.engine?.client === client) this.engine = undefined;
      end();
    });
    const client: EngineClient = new EngineClient(
      channel,
      this.objects.make,
      (value) => this.objects.encode(client, value),
      () => this.endUnused(client),
    );
    return { client, end };
  }

  /** Counts a model that comes; where it does not come, it no longer counts. */
  async withModel<T>(load: (client: EngineClient) => Promise<T>): Promise<T> {
    const { client } = this;
    this.models++;
    this.unused = false;
    try {
      return await load(client);
    } catch (error) {
      this.modelGone(client);
      throw error;
    }
  }

  /** Has a model that has come count as long as somebody refers to it, and until it is disposed. */
  follow(model: object, client: EngineClient): void {
    this.forgotten.register(model, client, model);
  }

  disposed(model: object, client: EngineClient): void {
    this.forgotten.unregister(model);
    this.modelGone(client);
  }

  private modelGone(client: EngineClient): void {
    if (this.engine?.client !== client) return;
    this.models--;
    this.unused = this.models === 0;
    this.endUnused(client);
  }

  /**
   * Without any model the worker ends once no call is under way, and its memory with it: browsers free that of a worker that
   * lives only when they like.
   */
  private endUnused(client: EngineClient): void {
    if (this.engine?.client !== client || !this.unused || client.busy) return;
    this.engine.end();
    this.engine = undefined;
  }
}
