// The engine's binaries in a browser: as `configure` gives them or says where they are, else beside the bundle.
import { EngineError } from "../errors.ts";
import { configuredBytes, configuredWasm } from "./assets.ts";
import type { Assets } from "./platform.ts";

/** Each URL is written out, for that is what bundlers see and copy the file for. They are seen from dist/web. */
const beside: Record<string, () => URL> = {
  "kernels-simd.wasm": () => new URL("../wasm/kernels-simd.wasm", import.meta.url),
  "kernels-relaxed.wasm": () => new URL("../wasm/kernels-relaxed.wasm", import.meta.url),
  "convert.wasm": () => new URL("../wasm/convert.wasm", import.meta.url),
  "logits.wasm": () => new URL("../wasm/logits.wasm", import.meta.url),
};

async function fetchWasm(name: string): Promise<Uint8Array> {
  const url = configuredWasm(name) ?? beside[name]();
  let answer: string;
  try {
    const response = await fetch(url);
    const bytes = new Uint8Array(await response.arrayBuffer());
    // Servers of applications answer with a page where a file is missing.
    if (response.ok && new DataView(bytes.buffer).getUint32(0) === 0x0061736d) return bytes;
    answer = response.ok ? "the answer is no WebAssembly" : `the server answered ${response.status}`;
  } catch (cause) {
    throw missing(name, url, (cause as Error).message, cause);
  }
  throw missing(name, url, answer);
}

const missing = (name: string, url: URL, why: string, cause?: unknown): EngineError =>
  new EngineError(
    `${name}: expected it at ${url.href}: ${why}; configure({ wasm_url }) says where the folder is, configure({ wasm }) takes the bytes`,
    { cause },
  );

/** Asked for by each model; they are the same. */
const fetched = new Map<string, Promise<Uint8Array>>();

export const browserAssets: Assets = {
  async wasm(name) {
    const given = configuredBytes(name);
    if (given) return given;
    let bytes = fetched.get(name);
    if (!bytes) {
      bytes = fetchWasm(name);
      fetched.set(name, bytes);
      bytes.catch(() => fetched.delete(name));
    }
    return bytes;
  },
  enable_relaxed_simd() {},
};
