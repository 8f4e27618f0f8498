// What files that are being written have in common on every disk: the first failure is the last word; and the note beside a
// long one, which says what it will be and how much of it is safe.
import type { WriteError } from "../errors.ts";

/**
 * How the operations of a file that is being written are run: when one fails all is given up, and no later one succeeds.
 * @param failure - what the caller is told of a cause
 * @param is_over - whether it was given up, or is complete
 */
export const untilFailure =
  (failure: (cause: unknown) => WriteError, is_over: () => boolean, giveUp: () => Promise<void>) =>
  async (operation: () => void | Promise<void>): Promise<void> => {
    if (is_over()) throw failure(new Error("it was given up"));
    try {
      await operation();
    } catch (cause) {
      await giveUp();
      throw failure(cause);
    }
  };

/** What a note says of a file that is written in part. */
export interface PartialNote {
  /** A text that is the same where what is to be written is. */
  readonly identity: string;
  /** Bytes that are safe. */
  readonly bytes: number;
}

export const writtenNote = (note: PartialNote): Uint8Array => new TextEncoder().encode(JSON.stringify(note));

/** A note that was written whole; undefined for any other text. */
export function parseNote(text: string): PartialNote | undefined {
  try {
    const { identity, bytes } = JSON.parse(text) as PartialNote;
    return typeof identity === "string" && Number.isSafeInteger(bytes) && bytes >= 0 ? { identity, bytes } : undefined;
  } catch {
    return undefined;
  }
}
