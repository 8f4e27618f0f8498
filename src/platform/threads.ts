// Threads by node:worker_threads, which Node, Deno and Bun all have. Not by the web's Worker, which Deno and Bun have too:
// Deno's cannot be unreferenced, and a program that forgets to dispose of its model would never end.
import { setImmediate } from "node:timers";
import * as threads from "node:worker_threads";
import { locateWorker } from "./installed.ts";
import type { HostPort, TeamWorker } from "./platform.ts";

/** @param env - the environment, where the thread is not to have its program's */
function start(name: string, env?: NodeJS.ProcessEnv): threads.Worker {
  const script = locateWorker();
  // The program's own options (--import, --require, --input-type, --inspect-brk, …) are not for the engine's threads.
  if (script) return new threads.Worker(startable(script), { name, execArgv: [], ...(env ? { env } : {}) });
  // Reached only in webpack's bundles. In this form webpack makes the script a bundle of its own, and puts the Worker of
  // node:worker_threads in place of the global one.
  const bundled = new Worker(new URL("../model/worker.js", import.meta.url), { name });
  return bundled as unknown as threads.Worker;
}

/** Threads start from files and data: a script on the network (a module from JSR) is imported by one that is its own data. */
function startable(script: URL): URL {
  if (!["http:", "https:"].includes(script.protocol)) return script;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(script.href)};`)}`);
}

/** `spawn` of a Platform. */
export function spawnThread(name: string, env?: NodeJS.ProcessEnv): TeamWorker {
  const worker = start(name, env);
  let ended = false;
  return {
    post: (message, transfer) => worker.postMessage(message, transfer as []),
    on_message: (listener) => void worker.on("message", listener),
    on_failure(listener) {
      worker.on("error", (cause) => {
        if (!ended) listener(cause);
        ended = true;
      });
      worker.on("exit", (status) => {
        if (!ended) listener(new Error(`the thread ended with status ${status}`));
        ended = true;
      });
    },
    async terminate() {
      ended = true;
      await worker.terminate();
    },
    ref: () => void worker.ref(),
    unref: () => void worker.unref(),
  };
}

/** `next_turn` of a Platform. */
export const nextTurn = (callback: () => void): void => void setImmediate(callback);

/** `host_port` of a Platform. */
export function threadPort(): HostPort {
  const port = threads.parentPort;
  if (!port) throw new Error("host_port: this is not a thread of a team");
  return {
    post: (message) => port.postMessage(message),
    on_message: (listener) => void port.on("message", listener),
  };
}
