// The library in a worker of a page, for tests that drive a page from Node: `call(name, argument)` in the page runs one of the
// functions below in the worker, and gives what it gives, or its error in words. This script is the page's and the worker's.
import { AutoTokenizer, configure, download, env, MixtralForCausalLM, models } from "../../src/index.ts";
import { hashOf } from "../runtimes/logits.ts";

declare const WorkerGlobalScope: unknown;

/** What stands for arguments that cannot be sent. */
export interface CallArgument {
  /** Makes the call's `signal`, which `abort` aborts. */
  abortable?: boolean;
  /** Collects what `progress_callback` is told. */
  watch?: boolean;
  source?: unknown;
  options?: Record<string, unknown>;
}

let controller = new AbortController();
let told: unknown[] = [];
const warnings: string[] = [];

function optionsOf({ abortable, watch, options }: CallArgument): Record<string, unknown> {
  controller = new AbortController();
  told = [];
  return {
    ...options,
    ...(abortable ? { signal: controller.signal } : {}),
    ...(watch ? { progress_callback: (info: unknown) => void told.push(structuredClone(info)) } : {}),
  };
}

const functions: Record<string, (argument: CallArgument) => unknown> = {
  download: (argument) => download(argument.source as string, optionsOf(argument)),
  abort: () => controller.abort(new Error("the test stopped it")),
  told: () => told,
  warnings: () => warnings,
  configure: ({ options }) => {
    configure({ wasm_url: new URL("/wasm/", location.href), worker_url: new URL("/web/engine.js", location.href) });
    Object.assign(env, options);
  },
  list: () => models.list(),
  usage: () => models.usage(),
  remove: ({ source }) => models.remove(source as string),
  /** The hash of a model's logits. */
  async hash(argument) {
    const options = { threads: 1, ...optionsOf(argument) };
    await using model = await MixtralForCausalLM.from_pretrained(argument.source as string, options);
    return hashOf(model);
  },
  async encode(argument) {
    const tokenizer = await AutoTokenizer.from_pretrained(argument.source as string, optionsOf(argument));
    return tokenizer.encode("What is pesto made of?");
  },
  async sha256({ source }) {
    const names = (source as string).replace("opfs:/", "").split("/");
    let folder = await navigator.storage.getDirectory();
    for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
    const file = await (await folder.getFileHandle(names.at(-1)!)).getFile();
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  /** All files that the page keeps, by their paths and sizes. */
  async tree() {
    const found: [string, number][] = [];
    const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const [name, handle] of folder.entries())
        if (handle.kind === "directory") await walk(handle as FileSystemDirectoryHandle, `${path}${name}/`);
        else found.push([`${path}${name}`, (await (handle as FileSystemFileHandle).getFile()).size]);
    };
    await walk(await navigator.storage.getDirectory(), "");
    return found.sort();
  },
};

type Reply = { id: number; value?: unknown; error?: string };

if (typeof WorkerGlobalScope !== "undefined") {
  console.warn = (text: string) => void warnings.push(text);
  addEventListener("message", async ({ data: { id, name, argument } }) => {
    let reply: Reply;
    try {
      reply = { id, value: await functions[name](argument ?? {}) };
    } catch (error) {
      reply = { id, error: `${(error as Error).name}: ${(error as Error).message}` };
    }
    self.postMessage(reply);
  });
} else {
  const worker = new Worker(import.meta.url, { type: "module", name: "calls" });
  const waiting = new Map<number, (reply: Reply) => void>();
  let count = 0;
  worker.onmessage = ({ data }) => waiting.get(data.id)?.(data);
  Object.assign(globalThis, {
    call: (name: string, argument?: CallArgument) =>
      new Promise((resolve, reject) => {
        const id = ++count;
        waiting.set(id, ({ value, error }) => (error === undefined ? resolve(value) : reject(new Error(error))));
        worker.postMessage({ id, name, argument });
      }),
    end: () => worker.terminate(),
  });
}
