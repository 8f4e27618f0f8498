// How opening a checkpoint as a model ended: what every test of hostile files asks.
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { TramontaneError } from "../../src/errors.ts";
import { bind, headOf } from "../../src/weights/bind.ts";

/**
 * Opens and binds, and closes again.
 * @returns null when it opened, else the message of an ordinary error of this library
 * @throws any other error: those are bugs
 */
export async function outcome(repository: Repository, options = {}): Promise<string | null> {
  try {
    const checkpoint = await openCheckpoint(repository, options);
    try {
      bind(checkpoint, headOf(checkpoint));
    } finally {
      await checkpoint.close();
    }
    return null;
  } catch (error) {
    if (error instanceof TramontaneError) return error.message;
    throw error;
  }
}
