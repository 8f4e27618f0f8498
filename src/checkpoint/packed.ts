// Matrices that a library has quantized in its own way, into several tensors: which bytes of which files each is made of, and
// how. A description alone, which convert/ carries out while a model loads.
import type { SourceFile } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";

/** Bytes of a file that a matrix is made of. */
export interface FilePart {
  readonly file: SourceFile;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * bitsandbytes' codes of 4 bits, in blocks of consecutive values, with each block's absmax: f32, or where that is quantized,
 * too, a byte, which stands for `map[byte] · nested_absmax + offset`.
 */
export interface Bnb4BitRecipe {
  readonly maker: "bnb_4bit";
  readonly parts:
    | readonly [codes: FilePart, absmax: FilePart]
    | readonly [codes: FilePart, absmax: FilePart, nested_absmax: FilePart, nested_map: FilePart];
  /** Values of a block. */
  readonly blocksize: number;
  /** (16) what codes stand for, of a matrix that is made as F32. */
  readonly map: readonly number[];
  readonly nested?: { readonly blocksize: number; readonly offset: number };
}

/** LLM.int8's codes, with a scale for each row. */
export interface BnbInt8Recipe {
  readonly maker: "bnb_int8";
  readonly parts: readonly [codes: FilePart, scales: FilePart];
}

/**
 * Codes of GPTQ, AWQ or compressed-tensors (`rows`, or `int8` as it is), with a scale and a zero for each group of a row's
 * inputs: value = scale · (code − zero − add).
 */
export interface GroupedRecipe {
  readonly maker: "grouped";
  /** Codes, scales, then zeros and the inputs' groups where there are any. */
  readonly parts: readonly FilePart[];
  readonly layout: "gptq" | "awq" | "rows" | "int8";
  readonly bits: number;
  /** Of a row. */
  readonly groups: number;
  readonly scale_format: "F32" | "F16" | "BF16";
  readonly zeros: boolean;
  readonly add: number;
  /** Whether neighbours are of any groups. */
  readonly reordered: boolean;
}

export type PackedRecipe = Bnb4BitRecipe | BnbInt8Recipe | GroupedRecipe;

/** A matrix that such tensors hold. */
export interface PackedMatrix {
  /** Of the tensor that has its codes. */
  readonly name: string;
  /** That it is made as. */
  readonly format: BlockFormat;
  readonly shape: readonly [rows: number, cols: number];
  readonly recipe: PackedRecipe;
}
