// Finds the package's own files in Node, Deno and Bun: where `configure` says, else beside this file, else, when a bundler
// has moved this code away from them, in the package as it is installed, else within the code.
import { existsSync, promises as fs } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { EngineError } from "../errors.ts";
import { configuredBytes, configuredWasm, configuredWorker } from "./assets.ts";

/** A bundle in CommonJS has no import.meta.url, but a file name. */
const here: string = import.meta.url ?? pathToFileURL(__filename).href;

/** Each URL is written out, for that is what bundlers see and copy the file for. */
const beside: Record<string, () => URL> = {
  "kernels-simd.wasm": () => new URL("../../wasm/kernels-simd.wasm", import.meta.url),
  "kernels-relaxed.wasm": () => new URL("../../wasm/kernels-relaxed.wasm", import.meta.url),
  "convert.wasm": () => new URL("../../wasm/convert.wasm", import.meta.url),
  "logits.wasm": () => new URL("../../wasm/logits.wasm", import.meta.url),
};

/** Whether something may be at a URL: what is on the network is believed. */
const exists = (url: URL) => url.protocol !== "file:" || existsSync(url);

/** The folder that the package is installed in, as seen from a bundle, or undefined. */
function packageFolder(): URL | undefined {
  try {
    return new URL(".", pathToFileURL(createRequire(here).resolve("tramontane/package.json")));
  } catch {
    return undefined;
  }
}

/** A file of `wasm/` where this code says that it is, if it is there. */
function besideThis(name: string): URL | undefined {
  const url = import.meta.url ? beside[name]() : undefined;
  return url && exists(url) ? url : undefined;
}

/** The embedded files, once they had to be looked at: by name. */
let embedded: Map<string, Uint8Array> | undefined;

async function unpackEmbedded(): Promise<Map<string, Uint8Array>> {
  const { packed, sizes } = await import("./embedded.ts");
  const all = packed ? brotliDecompressSync(Buffer.from(packed, "base64")) : new Uint8Array();
  let end = 0;
  return new Map(Object.entries(sizes).map(([name, size]) => [name, all.subarray(end, (end += size))]));
}

function missing(what: string): EngineError {
  return new EngineError(
    `${what}: expected it beside ${here}, in an installed package tramontane, or within the code, found none; a bundle of ` +
      "sources that were not built says with configure({ wasm_url, worker_url }) where its files are",
  );
}

function locateWasm(name: string): URL | undefined {
  const own = configuredWasm(name) ?? besideThis(name);
  if (own) return own;
  const folder = packageFolder();
  return folder && new URL(`dist/wasm/${name}`, folder);
}

/** The bytes of a file of `wasm/`. @throws {@link EngineError} when it cannot be found or read */
export async function readWasm(name: string): Promise<Uint8Array> {
  const given = configuredBytes(name);
  if (given) return given;
  const url = locateWasm(name);
  if (!url) {
    embedded ??= await unpackEmbedded();
    const bytes = embedded.get(name);
    if (bytes) return bytes;
    throw missing(name);
  }
  try {
    if (url.protocol === "file:") return await fs.readFile(fileURLToPath(url));
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new EngineError(`${url.href}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The threads' script, or undefined in a bundle that made it a file of its own.
 * @throws {@link EngineError} when it is nowhere
 */
export function locateWorker(): URL | undefined {
  const configured = configuredWorker();
  if (configured) return configured;
  // Run as it is, or as compiled. Not written out: a bundler would copy this one file without what it imports.
  const own = new URL(`../model/worker${here.endsWith(".ts") ? ".ts" : ".js"}`, here);
  if (exists(own)) return own;
  const folder = packageFolder();
  if (folder) return new URL("dist/src/model/worker.js", folder);
  // Where the binaries are embedded, which are read before threads start, the script is as well.
  const script = embedded?.get("worker.js");
  if (script) return new URL(`data:text/javascript;base64,${Buffer.from(script).toString("base64")}`);
  // Who has the binaries beside it was built by a bundler that saw the script, too.
  if (besideThis("logits.wasm")) return undefined;
  throw missing("the threads' script");
}
