// Whether weights are numbers: the halves that a block's values are multiplied by, or the values themselves, must be finite.
// The kernels do not look: in their products of f16, an exponent of all ones counts as one more, so that a damaged scale
// would become a large number and not a NaN.
import type { BlockFormat } from "./formats.ts";

/** The bits of the exponent in the half word that holds it: all ones stand for NaN and infinities. */
const exponentOf = (format: BlockFormat): number => (format.name === "F32" || format.name === "BF16" ? 0x7f80 : 0x7c00);

/**
 * The first block, of those in `bytes`, with a scale or value that is NaN or infinite; -1 where there is none.
 * @param bytes - whole blocks
 */
export function firstNotFinite(format: BlockFormat, bytes: Uint8Array): number {
  const { block_bytes, scales } = format;
  const exponent = exponentOf(format);
  for (const offset of scales) {
    for (let at = offset; at < bytes.length; at += block_bytes)
      if (((bytes[at] | (bytes[at + 1] << 8)) & exponent) === exponent) return (at - offset) / block_bytes;
  }
  return -1;
}
