// convert.wasm as TypeScript sees it, cpp/convert/: encoders of every format. An instance has a memory for itself, or shares
// it with kernels, which keep below its data.
import { EngineError } from "../errors.ts";
import type { Assets } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";

/**
 * Encodes rows of f32 as blocks. Addresses but `out` are multiples of 16.
 * @param importance - the address of f32 [cols], how much an error of each column weighs, or 0
 * @returns 0, or 1 + the first row with a value that is NaN, infinite or too large for the format
 */
export type Quantize = (x: number, importance: number, out: number, rows: number, cols: number) => number;

export interface ConvertInstance {
  /** The first byte that is free. */
  readonly heap_base: number;
  /** The encoder of a format. @throws EngineError where there is none */
  quantize(f: BlockFormat): Quantize;
}

let loaded: Promise<WebAssembly.Module> | undefined;

/** The module, compiled once. @throws EngineError when it cannot be found */
export function loadConverters(platform: Assets): Promise<WebAssembly.Module> {
  loaded ??= platform.wasm("convert.wasm").then((bytes) => WebAssembly.compile(bytes as BufferSource));
  loaded.catch(() => (loaded = undefined));
  return loaded;
}

/** @param memory - shared, of at least 8 MiB */
export function instantiateConvert(module: WebAssembly.Module, memory: WebAssembly.Memory): ConvertInstance {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return {
    heap_base: (exports.__heap_base as WebAssembly.Global).value,
    quantize(f) {
      const found = exports[`quantize_${f.name.toLowerCase()}`] as unknown as Quantize | undefined;
      if (!found) throw new EngineError(`${f.name}: there is no encoder of this format`);
      return found;
    },
  };
}
