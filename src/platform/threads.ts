// Threads by node:worker_threads, which Node, Deno and Bun all have. Not by the web's Worker, which Deno and Bun have too:
// Deno's cannot be unreferenced, and a program that forgets to dispose of its model would never end.
import process from "node:process";
import { setImmediate } from "node:timers";
import * as threads from "node:worker_threads";
import { locateWorker } from "./installed.ts";
import type { HostPort, TeamWorker } from "./platform.ts";

function start(name: string): threads.Worker {
  const script = locateWorker();
  if (script) return new threads.Worker(startable(script), { name, ...inherited() });
  // Reached only in webpack's bundles. In this form webpack makes the script a bundle of its own, and puts the Worker of
  // node:worker_threads in place of the global one.
  const bundled = new Worker(new URL("../model/worker.js", import.meta.url), { name });
  return bundled as unknown as threads.Worker;
}

/**
 * A thread has the options of its process, where one of them does not fit: `--input-type` is for a program that is text
 * (`--eval`), and a thread's is a file.
 */
function inherited(): { execArgv?: string[] } {
  const options = process.execArgv ?? [];
  const at = options.findIndex((option) => option.startsWith("--input-type"));
  return at < 0 ? {} : { execArgv: options.toSpliced(at, options[at].includes("=") ? 1 : 2) };
}

/** Threads start from files and data: a script on the network (a module from JSR) is imported by one that is its own data. */
function startable(script: URL): URL {
  if (!["http:", "https:"].includes(script.protocol)) return script;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(script.href)};`)}`);
}

/** `spawn` of a Platform. */
export function spawnThread(name: string): TeamWorker {
  const worker = start(name);
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
