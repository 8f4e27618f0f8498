// The makers of matrices, by the names that recipes call them by.
import type { Recipe } from "../weights/recipe.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import { bnb4Bit, bnbEncode, bnbInt8 } from "./bnb.ts";
import { encode } from "./encode.ts";
import { grouped } from "./grouped.ts";
import type { PostedMatrix } from "./job.ts";
import type { Workshop } from "./workshop.ts";

export interface Maker<R extends Recipe> {
  /** Rows that are made at a time. */
  rows(matrix: MadeMatrix & { readonly recipe: R }): number;
  /** Bytes that a thread works in for that, at most. */
  bytes(matrix: MadeMatrix & { readonly recipe: R }): number;
  /**
   * Makes rows [from, to) in a thread's own memory.
   * @returns the address of their blocks
   * @throws CheckpointError when the files do not hold what they should
   */
  make(shop: Workshop, matrix: PostedMatrix, from: number, to: number): number;
}

const makers: { readonly [Name in Recipe["maker"]]: Maker<Extract<Recipe, { maker: Name }>> } = {
  encode,
  bnb_4bit: bnb4Bit,
  bnb_int8: bnbInt8,
  bnb_encode: bnbEncode,
  grouped,
};

export const makerOf = ({ maker }: Pick<Recipe, "maker">): Maker<Recipe> => makers[maker] as Maker<Recipe>;
