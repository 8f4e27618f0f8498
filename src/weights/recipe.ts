// How a matrix comes about that does not stand in a file as the engine computes with it: a description alone, which
// convert/ carries out in threads while a model loads.
import type { SourceFile } from "../platform/platform.ts";
import type { FileFormat } from "../quant/formats.ts";

/** Bytes of a file that a matrix is made of. */
export interface FilePart {
  readonly file: SourceFile;
  readonly offset: number;
  readonly bytes: number;
}

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

export type Recipe = EncodeRecipe;
