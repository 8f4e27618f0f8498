// How opening a checkpoint as a model ended: what every test of hostile files asks.
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { TramontaneError } from "../../src/errors.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { bind } from "../../src/weights/bind.ts";

/**
 * Opens and binds, and closes again.
 * @returns null when it opened, else the message of an ordinary error of this library
 * @throws any other error: those are bugs
 */
export async function outcome(platform: Platform, path: string, options = {}): Promise<string | null> {
  try {
    const checkpoint = await openCheckpoint(platform, path, options);
    try {
      bind(checkpoint);
    } finally {
      await checkpoint.close();
    }
    return null;
  } catch (error) {
    if (error instanceof TramontaneError) return error.message;
    throw error;
  }
}
