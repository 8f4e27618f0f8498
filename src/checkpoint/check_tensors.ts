// Reads every weight of a checkpoint and refuses those that are no numbers. Not done unless it is asked for: a mapped model
// is loaded without looking at a byte of them.
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { firstNotFinite } from "../quant/finite.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Bytes looked at a time, at most. */
const PART_BYTES = 1 << 22;

/**
 * @throws {@link CheckpointError} naming the first tensor with a NaN or infinite scale or value; the signal's reason when
 *   aborted
 */
export async function checkTensors({ tensors }: Checkpoint, signal?: AbortSignal): Promise<void> {
  const buffer = new Uint8Array(PART_BYTES);
  for (const { name, format, file, offset, bytes } of tensors.values()) {
    const { block_bytes, block_values } = format;
    const whole = PART_BYTES - (PART_BYTES % block_bytes);
    for (let at = 0; at < bytes; at += whole) {
      signal?.throwIfAborted();
      const part = buffer.subarray(0, Math.min(whole, bytes - at));
      await file.read(offset + at, part);
      const block = firstNotFinite(format, part);
      if (block >= 0) {
        const value = (at / block_bytes + block) * block_values;
        throw new CheckpointError(
          `${showName(name)}: expected finite numbers, found NaN or an infinity in the ${format.name} block at value ${value} in ${fileName(file.path)}`,
        );
      }
    }
  }
}
