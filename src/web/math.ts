// exp and log as the engine has them, for what models compute at once on the page: the same bits from the same module.
import { type LogitsExports, loadLogits } from "../kernels/logits.ts";
import { createMemory } from "../kernels/memory.ts";
import type { EngineClient } from "./client.ts";

/** Pages of memory that the module wants at least. */
const PAGES = 16;

let loading: Promise<LogitsExports> | undefined;
let loaded: LogitsExports | undefined;

/** Loads the module once. */
export function loadMath(client: EngineClient): Promise<LogitsExports> {
  loading ??= client.call<Uint8Array>(0, "logits_wasm", []).then(async (bytes) => {
    const module = await WebAssembly.compile(bytes as BufferSource);
    loaded = loadLogits(module, createMemory(PAGES, "logits.wasm"));
    return loaded;
  });
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}

/** The module, which is loaded before any model. */
export const mathOf = (): LogitsExports => loaded!;
