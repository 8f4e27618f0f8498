// convert.wasm as TypeScript sees it, cpp/convert/: encoders of every format. An instance has a memory for itself, or shares
// it with kernels, which keep below its data.
import { EngineError } from "../errors.ts";
import type { Assets } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { struct } from "./structs.ts";

/**
 * Encodes rows of f32 as blocks. Addresses but `out` are multiples of 16.
 * @param importance - the address of f32 [cols], how much an error of each column weighs, or 0
 * @returns 0, or 1 + the first row with a value that is NaN, infinite or too large for the format
 */
export type Quantize = (x: number, importance: number, out: number, rows: number, cols: number) => number;

export interface ConvertInstance {
  /** The first byte that is free. */
  readonly heap_base: number;
  readonly bnb: BnbExports;
  readonly grouped: GroupedExports;
  /** The encoder of a format. @throws EngineError where there is none */
  quantize(f: BlockFormat): Quantize;
}

/** What is bitsandbytes' alone; cpp/convert/bnb.cpp documents every argument. Blocks of scales have 2^shift entries. */
export interface BnbExports {
  /** Encodes values, whatever the rows. @returns 0, or 1 where one is no finite number */
  encode(type: "nf4" | "fp4"): (x: number, out: number, count: number) => number;
  quantize_scales(absmax: number, count: number, codes: number, nested: number, map: number): number;
  scales(
    codes: number,
    nested: number,
    map: number,
    shift: number,
    offset: number,
    first: number,
    count: number,
    out: number,
  ): void;
  blocks(codes: number, absmax: number, shift: number, first: number, blocks: number, out: number): void;
  decode(codes: number, absmax: number, map: number, shift: number, first: number, count: number, out: number): void;
  take_scales(blocks: number, count: number, out: number): void;
  put_scales(blocks: number, count: number, scales: number): void;
}

/** What is done with a matrix's lines; cpp/convert/grouped.cpp documents every field. */
export const groupedArgs = struct({
  lines: "u32",
  order: "u32",
  scale: "u32",
  zero: "u32",
  out: "u32",
  cols: "u32",
  rows: "u32",
  group: "u32",
  scale_row: "u32",
  scale_group: "u32",
  zero_group: "u32",
  add: "u32",
  row_bytes: "u32",
});

/** What takes GPTQ's, AWQ's and compressed-tensors' words apart, into lines; cpp/convert/grouped.cpp documents every argument. */
export interface GroupedExports {
  take_columns(words: number, columns: number, n: number, bits: number, from: number, lines: number): void;
  take_awq(words: number, columns: number, n: number, from: number, lines: number): void;
  cut_words(words: number, row_words: number, n: number, from: number, out: number): void;
  take_rows(words: number, n: number, bits: number, rows: number, flip: number, lines: number): void;
  take_stream(words: number, n: number, bits: number, codes: number): void;
  /** What stores lines as rows of a format. @param args - address of `groupedArgs` */
  store(format: BlockFormat): (args: number) => void;
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
  const names = ["quantize_scales", "scales", "blocks", "decode", "take_scales", "put_scales"] as const;
  const bnb = Object.fromEntries(names.map((name) => [name, exports[`bnb_${name}`]])) as unknown as BnbExports;
  return {
    heap_base: (exports.__heap_base as WebAssembly.Global).value,
    bnb: { ...bnb, encode: (type) => exports[`bnb_encode_${type}`] as ReturnType<BnbExports["encode"]> },
    grouped: {
      ...(exports as unknown as Omit<GroupedExports, "store">),
      store: ({ name }) => exports[`store_${name.toLowerCase()}`] as ReturnType<GroupedExports["store"]>,
    },
    quantize(f) {
      const found = exports[`quantize_${f.name.toLowerCase()}`] as unknown as Quantize | undefined;
      if (!found) throw new EngineError(`${f.name}: there is no encoder of this format`);
      return found;
    },
  };
}
