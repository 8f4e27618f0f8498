// Whether weights are numbers: the scales that a block's values are multiplied by, or the values themselves, must be finite.
// The kernels do not look: in their products of f16, an exponent of all ones counts as one more, so that a damaged scale
// would become a large number and not a NaN.
import type { BlockFormat, ScaleType } from "./formats.ts";

/**
 * The bits of a scale's exponent, in half words from where the scale begins: all ones stand for NaN and infinities. Of a
 * lone exponent they stand for NaN (OCP's E8M0; ggml computes with 2^127).
 */
const exponents: Readonly<Record<ScaleType, readonly (readonly [offset: number, mask: number])[]>> = {
  f16: [[0, 0x7c00]],
  f32: [[0, 0x7f80]],
  // Bits 10 and 11, and 12 to 14.
  nibbles: [
    [4, 0xc000],
    [6, 0x7000],
  ],
  exponent: [[0, 0xff]],
};

/**
 * The first block, of those in `bytes`, with a scale or value that is NaN or infinite; -1 where there is none.
 * @param bytes - whole blocks
 */
export function firstNotFinite(format: BlockFormat, bytes: Uint8Array): number {
  const { block_bytes, scales, scale_type } = format;
  const [[first, mask], ...others] = exponents[scale_type];
  const full = (at: number, mask: number) => ((bytes[at] | (bytes[at + 1] << 8)) & mask) === mask;
  for (const scale of scales) {
    for (let at = scale; at < bytes.length; at += block_bytes)
      if (full(at + first, mask) && others.every(([offset, mask]) => full(at + offset, mask)))
        return (at - scale) / block_bytes;
  }
  return -1;
}
