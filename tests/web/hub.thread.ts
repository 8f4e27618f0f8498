// A worker that downloads and loads models as a test of Node's tells it to: each message is a call, which is answered.

import type { DownloadProgress } from "../../src/hub/progress.ts";
import { AutoTokenizer, download, MixtralForCausalLM, type ModelSource, models } from "../../src/index.ts";
import { hashOf } from "../runtimes/logits.ts";
import "./engine_here.ts";

/** The handle of a folder in the page's own files, as a picked one. */
async function folderAt(path: string): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of path.replace("opfs:/", "").split("/").filter(Boolean))
    folder = await folder.getDirectoryHandle(name);
  return folder;
}

async function logits(source: ModelSource, options: object = {}): Promise<string> {
  await using model = await MixtralForCausalLM.from_pretrained(source, { threads: 1, ...options });
  return await hashOf(model);
}

const told: DownloadProgress[] = [];
let controller = new AbortController();

const calls: Record<string, (...args: any[]) => unknown> = {
  download(source: ModelSource, options: object) {
    told.length = 0;
    controller = new AbortController();
    return download(source, {
      ...options,
      signal: controller.signal,
      progress_callback: (info) => void told.push(info),
    });
  },
  abort: (text: string) => controller.abort(new Error(text)),
  told: () => told.map(({ status, file, loaded, total }) => ({ status, file, loaded, total })),
  logits,
  encode: async (source: ModelSource, text: string, options: object) =>
    (await AutoTokenizer.from_pretrained(source, options)).encode(text),
  list: () => models.list(),
  usage: () => models.usage(),
  remove: (name: string) => models.remove(name),
  async read(path: string) {
    const names = path.split("/");
    const name = names.pop()!;
    const bytes = await (await (await (await folderAt(names.join("/"))).getFileHandle(name)).getFile()).arrayBuffer();
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  /** Names below a folder. */
  async tree(path: string) {
    const names: string[] = [];
    const add = async (folder: FileSystemDirectoryHandle, at: string) => {
      for await (const entry of folder.values())
        if (entry.kind === "directory") await add(entry as FileSystemDirectoryHandle, `${at}${entry.name}/`);
        else names.push(at + entry.name);
    };
    await add(await folderAt(path), "");
    return names.sort();
  },
  logitsOfHandle: async (path: string) => logits(await folderAt(path)),
};

addEventListener("message", async ({ data: [id, name, args] }) => {
  try {
    postMessage([id, await calls[name](...args)]);
  } catch (error) {
    postMessage([id, undefined, `${(error as Error).constructor.name}: ${(error as Error).message}`]);
  }
});
postMessage("ready");
