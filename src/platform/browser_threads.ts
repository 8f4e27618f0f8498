// Threads in a browser: module workers. They are started from the script of the worker that starts them, and know by their
// names what they are, so that a page has one script for all of its workers. A page that is not cross-origin isolated may
// send no shared memory to any: there a thread runs within the engine's worker.
import { EngineError } from "../errors.ts";
import { configuredWorker } from "./assets.ts";
import type { HostPort, TeamWorker } from "./platform.ts";
import { spawnWithin } from "./within.ts";

/** What the engine's worker is called, and what its threads' names begin with. */
const NAME = "tramontane";

/** The name of the worker that is to be the engine's. */
export const ENGINE_WORKER = `${NAME} engine`;

/** What of a worker's own scope is used here; `window` has no part of it. */
interface WorkerScope {
  readonly name: string;
  readonly location: { readonly href: string };
  readonly importScripts: ((url: string) => void) | undefined;
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
}

/** The scope of the worker that this runs in, if it is one. */
const workerScope = (): WorkerScope | undefined => {
  const scope = globalThis as unknown as WorkerScope;
  return typeof scope.importScripts === "function" && typeof scope.name === "string" ? scope : undefined;
};

/** Whether this is a worker that was started as a thread of a team. */
export const isThread = (): boolean => new RegExp(`^${NAME} \\d+$`).test(workerScope()?.name ?? "");

/** The engine's script: where `configure` says, else the one that this worker runs, else beside this. */
function locateScript(): URL | string {
  const configured = configuredWorker();
  if (configured) return configured;
  const scope = workerScope();
  if (scope?.name.startsWith(NAME)) return scope.location.href;
  // Not written out: bundlers would make a second copy of the script that the engine's worker runs.
  const name = "engine.js";
  return new URL(`./${name}`, import.meta.url);
}

/** How a worker's script is to be started: as this worker was, where it is the same. Bundlers may make it a classic one. */
function scriptType(): WorkerType {
  const scope = workerScope();
  if (!scope?.name.startsWith(NAME) || configuredWorker()) return "module";
  try {
    scope.importScripts!("data:text/javascript,");
  } catch (error) {
    // A module knows no such way to load; a classic script may be forbidden to.
    if (error instanceof TypeError) return "module";
  }
  return "classic";
}

const failureOf = (name: string, script: URL | string, event: Event): Error => {
  const { message, filename, lineno } = event as ErrorEvent;
  // Where a script cannot be loaded there is no message; of what a thread throws there is.
  if (!message)
    return new EngineError(
      `${name}: ${script} cannot be run as a worker: it is not there, no JavaScript, or the page's Content-Security-Policy (worker-src) forbids it`,
    );
  return new Error(`${message}${filename ? ` (${filename}:${lineno})` : ""}`);
};

/** `alone` of a Platform. */
export const alone: string | undefined = globalThis.crossOriginIsolated
  ? undefined
  : "the page is not cross-origin isolated (by the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp), so that one thread computes";

/** What a thread runs, where it runs within this one. */
let serve: ((port: HostPort) => void) | undefined;

/** Says what a thread runs, where it runs within this one: nothing here knows what that is. */
export function serveWithin(script: (port: HostPort) => void): void {
  serve = script;
}

/** `spawn` of a Platform. */
export function spawnWorker(name: string): TeamWorker {
  if (alone === undefined) return startWorker(name);
  if (!serve) throw new EngineError(`${name}: ${alone}, and no script was given for it`);
  return spawnWithin(serve, nextTurn);
}

function startWorker(name: string): TeamWorker {
  const script = locateScript();
  const worker = new Worker(script, { type: scriptType(), name });
  let ended = false;
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as Transferable[]),
    on_message: (listener) => worker.addEventListener("message", ({ data }) => listener(data)),
    on_failure(listener) {
      const fail = (cause: unknown) => {
        if (!ended) listener(cause);
        ended = true;
      };
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        fail(failureOf(name, script, event));
      });
      worker.addEventListener("messageerror", () => fail(new Error(`${name}: a message could not be received`)));
    },
    async terminate() {
      ended = true;
      worker.terminate();
    },
    // A page does not end by itself.
    ref() {},
    unref() {},
  };
}

/** `host_port` of a Platform. */
export function workerPort(): HostPort {
  const scope = workerScope();
  if (!scope || !isThread()) throw new Error("host_port: this is not a thread of a team");
  return {
    post: (message) => scope.postMessage(message),
    on_message: (listener) => scope.addEventListener("message", ({ data }) => listener(data)),
  };
}

const waiting: (() => void)[] = [];
let channel: MessageChannel | undefined;

/** `next_turn` of a Platform: by a message to itself, for timers wait 4 ms, and a second where the page is hidden. */
export function nextTurn(callback: () => void): void {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()!();
  }
  waiting.push(callback);
  channel.port2.postMessage(undefined);
}
