// convert.wasm as TypeScript sees it: encoders of every format, cpp/convert/. Each instance has a memory for itself.
import type { Assets } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";

/**
 * Encodes rows of f32 as blocks.
 * @param importance - the address of f32 [cols], how much an error of each column weighs, or 0
 * @returns 0, or 1 + the first row in which a value is no finite number
 */
export type Quantize = (x: number, importance: number, out: number, rows: number, cols: number) => number;

export interface ConvertInstance {
  /** The encoder of a format. */
  quantize(f: BlockFormat): Quantize;
}

let loaded: Promise<WebAssembly.Module> | undefined;

/** The module, compiled once. @throws EngineError when it cannot be found */
export function loadConverters(platform: Assets): Promise<WebAssembly.Module> {
  loaded ??= platform.wasm("convert.wasm").then((bytes) => WebAssembly.compile(bytes as BufferSource));
  loaded.catch(() => (loaded = undefined));
  return loaded;
}

export function instantiateConvert(module: WebAssembly.Module, memory: WebAssembly.Memory): ConvertInstance {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return { quantize: (f) => exports[`quantize_${f.name.toLowerCase()}`] as unknown as Quantize };
}
