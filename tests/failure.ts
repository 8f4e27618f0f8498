// What a call rejects with.
import type { TramontaneError } from "../src/errors.ts";

/** @throws when the promise is fulfilled */
export async function failure(promise: Promise<unknown>): Promise<TramontaneError> {
  try {
    await promise;
  } catch (error) {
    return error as TramontaneError;
  }
  throw new Error("expected a rejection");
}
