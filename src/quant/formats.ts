// The one table of block formats: how many values a block holds and how many bytes it takes, by GGUF's names and ids. Its
// twin is cpp/formats.def. Source: the GGUF specification and ggml's block structs; safetensors' F32, F16 and BF16 are the
// same bytes.

/** One way to store a weight: `block_bytes` bytes hold `block_values` consecutive values of a row. */
export interface BlockFormat {
  /** GGUF's name, e.g. `Q4_K`; of a format that is only in memory, our own. */
  readonly name: FormatName | RepackedName | OwnName;
  /** GGUF's tensor type id, or our own, which it does not use. */
  readonly id: number;
  readonly block_values: number;
  readonly block_bytes: number;
  /** Where the block's scales stand, in bytes from its start; of a plain float, its half that holds the exponent. */
  readonly scales: readonly number[];
  readonly scale_type: ScaleType;
  /** Whether products with it quantize the activations to int8 (false: activations stay f32). */
  readonly quantized: boolean;
  /** Bytes that a row begins with, before its blocks: a scale of the whole row. Its products need whole rows of activations. */
  readonly row_head?: number;
}

/**
 * How a block's scales are written: as f16 or as the upper half of an f32; as an f16 whose nibbles are the topmost of four
 * u16, the lowest first (IQ1_M); as the exponent e of 2^(e - 128), a byte (MXFP4).
 */
export type ScaleType = "f16" | "f32" | "nibbles" | "exponent";

/** A format that files have. */
export interface FileFormat extends BlockFormat {
  readonly name: FormatName;
}

export type FormatName =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ1_S"
  | "IQ1_M"
  | "IQ2_XXS"
  | "IQ2_XS"
  | "IQ2_S"
  | "IQ3_XXS"
  | "IQ3_S"
  | "IQ4_NL"
  | "IQ4_XS"
  | "TQ1_0"
  | "TQ2_0"
  | "MXFP4";

/** What a format becomes where weights are read, not mapped: the same values in as many bytes, in the order of products. */
export type RepackedName = "Q4_0_R" | "Q4_K_R";

/**
 * What bitsandbytes' checkpoints become, and weights that are quantized as it does while they load; and what those of GPTQ, AWQ
 * and compressed-tensors become, whose scale is of 32 or of 128 values.
 */
export type OwnName = "BNB_NF4" | "BNB_FP4" | "BNB_INT8" | "INT4_32" | "INT4_128" | "INT8_32";

const format = <Name extends FormatName | RepackedName | OwnName>(
  name: Name,
  id: number,
  block_values: number,
  block_bytes: number,
  scales: readonly number[],
  scale_type: ScaleType = "f16",
) => ({ name, id, block_values, block_bytes, scales, scale_type, quantized: block_values > 1 });

/** Every format that files have and the engine computes with, by name. */
export const formats: Readonly<Record<FormatName, FileFormat>> = {
  F32: format("F32", 0, 1, 4, [2], "f32"),
  F16: format("F16", 1, 1, 2, [0]),
  BF16: format("BF16", 30, 1, 2, [0], "f32"),
  Q8_0: format("Q8_0", 8, 32, 34, [0]),
  Q4_0: format("Q4_0", 2, 32, 18, [0]),
  Q4_1: format("Q4_1", 3, 32, 20, [0, 2]),
  Q5_0: format("Q5_0", 6, 32, 22, [0]),
  Q5_1: format("Q5_1", 7, 32, 24, [0, 2]),
  Q2_K: format("Q2_K", 10, 256, 84, [80, 82]),
  Q3_K: format("Q3_K", 11, 256, 110, [108]),
  Q4_K: format("Q4_K", 12, 256, 144, [0, 2]),
  Q5_K: format("Q5_K", 13, 256, 176, [0, 2]),
  Q6_K: format("Q6_K", 14, 256, 210, [208]),
  IQ1_S: format("IQ1_S", 19, 256, 50, [0]),
  IQ1_M: format("IQ1_M", 29, 256, 56, [48], "nibbles"),
  IQ2_XXS: format("IQ2_XXS", 16, 256, 66, [0]),
  IQ2_XS: format("IQ2_XS", 17, 256, 74, [0]),
  IQ2_S: format("IQ2_S", 22, 256, 82, [0]),
  IQ3_XXS: format("IQ3_XXS", 18, 256, 98, [0]),
  IQ3_S: format("IQ3_S", 21, 256, 110, [0]),
  IQ4_NL: format("IQ4_NL", 20, 32, 18, [0]),
  IQ4_XS: format("IQ4_XS", 23, 256, 136, [0]),
  TQ1_0: format("TQ1_0", 34, 256, 54, [52]),
  TQ2_0: format("TQ2_0", 35, 256, 66, [64]),
  MXFP4: format("MXFP4", 39, 32, 17, [0], "exponent"),
};

/** Formats that are in no file, by the name of what they are made of (cpp/repack.cpp). */
export const repackedFormats: { readonly [name in FormatName]?: BlockFormat } = {
  Q4_0: format("Q4_0_R", 62, 128, 72, [0, 2, 4, 6]),
  Q4_K: format("Q4_K_R", 63, 256, 144, [0, 2]),
};

/**
 * Formats that are in no file as they stand: made while a model loads. Scales of INT4_ and INT8_ are f32, and minimums. The scale of BNB_NF4 and BNB_FP4 is a f32, of BNB_INT8
 * one for a row, f32, before its values.
 */
export const ownFormats: { readonly [name in OwnName]: BlockFormat } = {
  INT4_32: format("INT4_32", 52, 128, 84, [2, 6, 10, 14], "f32"),
  INT4_128: format("INT4_128", 53, 128, 72, [2, 6], "f32"),
  INT8_32: format("INT8_32", 54, 128, 160, [2, 6, 10, 14, 18, 22, 26, 30], "f32"),
  BNB_NF4: { ...format("BNB_NF4", 48, 64, 36, [2], "f32"), quantized: false },
  BNB_FP4: { ...format("BNB_FP4", 49, 64, 36, [2], "f32"), quantized: false },
  BNB_INT8: { ...format("BNB_INT8", 50, 1, 1, []), quantized: true, row_head: 4 },
};

/** Columns of BNB_INT8 at most: for so many, sums of products of two codes fit 32 bits. */
export const MOST_INT8_COLS = 2 ** 17;

const byId = new Map(Object.values(formats).map((f) => [f.id, f]));

/** The format with a GGUF type id, or undefined where the engine does not compute with it. */
export const formatById = (id: number): FileFormat | undefined => byId.get(id);

/** Bytes of one row of `cols` values; `cols` must be whole blocks. */
export const rowBytes = (f: BlockFormat, cols: number): number =>
  (f.row_head ?? 0) + (cols / f.block_values) * f.block_bytes;
