// What the converting threads are told: matrices to be made, and where to. Plain data, posted to every thread.
import type { FileHandleRef } from "../platform/platform.ts";
import type { BlockFormat } from "../quant/formats.ts";
import type { Recipe } from "../weights/recipe.ts";

/** A recipe whose parts name files by their places in a job's list. */
export type PostedRecipe = Omit<Recipe, "parts"> & { readonly parts: readonly PostedPart[] };

export interface PostedPart {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

/** A matrix to be made. */
export interface PostedMatrix {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** Of its blocks. */
  readonly format: BlockFormat;
  /** The order in which they are wanted where it is not the file's (memory/repack.ts); else `format`. */
  readonly memory_format: BlockFormat;
  readonly recipe: PostedRecipe;
  /** Where row 0 goes: shared memory, in bytes. */
  readonly to: ArrayBufferLike;
  readonly address: number;
}

/** Rows [from, to) of a matrix: what a thread makes at a time. */
export interface Piece {
  readonly matrix: number;
  readonly from: number;
  readonly to: number;
}

export interface ConvertJob {
  readonly type: "convert";
  readonly files: readonly FileHandleRef[];
  readonly matrices: readonly PostedMatrix[];
  readonly pieces: readonly Piece[];
  /** Word 0 counts the pieces that threads have begun. Shared. */
  readonly counter: Int32Array;
}

/** What a thread has come to: nothing, or what is wrong with a checkpoint. */
export interface ConvertResult {
  readonly refused?: string;
}

export interface ConvertSetup {
  readonly type: "convert";
  readonly kernels: WebAssembly.Module;
  readonly converters: WebAssembly.Module;
  /** Bytes that each thread may work in. */
  readonly work_bytes: number;
}
