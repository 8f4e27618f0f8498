// The library as it is and as a page has it, asked the same.
import * as assert from "uvu/assert";
import * as library from "../../src/index.ts";
import * as web from "../../src/web/index.ts";
import { failure } from "../failure.ts";

type Library = typeof library;

export const sides: readonly [name: string, side: Library][] = [
  ["library", library],
  ["page", web as unknown as Library],
];

/** What both sides give, which must be the same. */
export async function both<T>(ask: (side: Library) => Promise<T>): Promise<T> {
  const own = await ask(library);
  const page = await ask(web as unknown as Library);
  assert.equal(page, own);
  return page;
}

/** The errors of both sides, which must be the same but for their stacks. @returns the page's */
export async function bothFail(ask: (side: Library) => Promise<unknown>): Promise<Error> {
  const found = [];
  for (const [, side] of sides) {
    const error = (await failure(ask(side))) as Error & { code?: string };
    found.push({ error, told: [error.name, error.code, error.message, { ...error }] });
  }
  assert.equal(found[1].told, found[0].told);
  assert.is(Object.getPrototypeOf(found[1].error), Object.getPrototypeOf(found[0].error));
  return found[1].error;
}

export const plain = (tensor: library.Tensor) => [tensor.type, tensor.dims, Array.from(tensor.data as Float32Array)];
