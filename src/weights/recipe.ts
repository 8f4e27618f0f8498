// How a matrix comes about that does not stand in a file as the engine computes with it: a description alone, which
// convert/ carries out in threads while a model loads.
import type { FilePart, PackedRecipe } from "../checkpoint/packed.ts";
import type { FileFormat } from "../quant/formats.ts";

/** A matrix of another format, encoded anew, rows by rows. */
export interface EncodeRecipe {
  readonly maker: "encode";
  readonly parts: readonly [matrix: FilePart];
  /** That the file has. */
  readonly from: FileFormat;
  /** (cols) how much an error of each column weighs, in shared memory; all the same where absent. */
  readonly importance?: Float32Array;
  /** Rows of heads of this size change their order from Hugging Face's to GGUF's: row 2i + h is h · size/2 + i. */
  readonly heads_of?: number;
}

/** A matrix quantized as bitsandbytes does it. */
export interface BnbEncodeRecipe {
  readonly maker: "bnb_encode";
  readonly parts: readonly [matrix: FilePart];
  /** That the file has. */
  readonly from: FileFormat;
  readonly type: "nf4" | "fp4" | "int8";
  /** Whether the blocks' scales are quantized, too. */
  readonly double: boolean;
}

export type Recipe = EncodeRecipe | BnbEncodeRecipe | PackedRecipe;
