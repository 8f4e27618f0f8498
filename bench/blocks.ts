// Random weights in any block format: whole blocks of random bytes whose scales are set so that the values are of one size.
import { type FileFormat, type FormatName, formats } from "../src/quant/formats.ts";
import { setScale } from "../tests/quant/scales.ts";

/** The smallest f16 that is not subnormal: engines may be slower on less. */
const smallest = 2 ** -14;

/**
 * A block's scales in units of the deviation, in the order of `BlockFormat.scales`, from the spread of the other bits where
 * all are random. Minima undo the mean that the quants have.
 */
const scaleValues: Partial<Record<FormatName, readonly number[]>> = {
  Q4_0: [1 / 4.6],
  Q4_1: [1 / 4.6, -7.5 / 4.6],
  Q5_0: [1 / 9.2],
  Q5_1: [1 / 9.2, -15.5 / 9.2],
  Q8_0: [1 / 74],
  Q2_K: [1 / 14, 1.5 / 14],
  Q3_K: [1 / 43],
  Q4_K: [1 / 255, 7.5 / 255],
  Q5_K: [1 / 521, 15.5 / 521],
  Q6_K: [1 / 1367],
  IQ1_S: [1 / 7.2],
  IQ1_M: [1 / 7.2],
  IQ2_XXS: [1 / 53],
  IQ2_XS: [1 / 56],
  IQ2_S: [1 / 56],
  IQ3_XXS: [1 / 140],
  IQ3_S: [1 / 138],
  IQ4_NL: [1 / 68],
  IQ4_XS: [1 / 1252],
  TQ1_0: [1 / 0.82],
  TQ2_0: [1 / 1.2],
  MXFP4: [1 / 5.8],
};

/** xorshift32: the same bytes in every run. */
export function randomWords(words: Uint32Array, seed: number): Uint32Array {
  let x = seed || 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return words;
}

/** Of Q4_K's minimums, 6 bits each, where all are alike. */
const MEAN_MINIMUM = 31.5;

/**
 * `blocks` blocks of a format.
 * @param deviation - the standard deviation that the values have, roughly
 * @param mean - of the values, for Q4_K alone
 * @throws TypeError for F32, which the caller knows how to make
 */
export function randomBlocks(
  format: FileFormat,
  blocks: number,
  seed: number,
  deviation: number,
  mean = 0,
): Uint8Array {
  const length = blocks * format.block_bytes;
  const bytes = new Uint8Array(randomWords(new Uint32Array(Math.ceil(length / 4)), seed).buffer, 0, length);
  const view = new DataView(bytes.buffer);
  if (format === formats.BF16 || format === formats.F16) {
    // Any sign and mantissa; the exponent or the next: together they have 2.4 times the power of two.
    const [bits, bias] = format === formats.BF16 ? [7, 127] : [10, 15];
    const keep = 0x8000 | ((1 << bits) - 1);
    const lower = bias + Math.round(Math.log2(deviation / 2.4));
    for (let at = 0; at < length; at += 2) {
      const word = view.getUint16(at, true);
      const exponent = lower + ((word >> bits) & 1);
      view.setUint16(at, (word & keep) | (exponent << bits), true);
    }
    return bytes;
  }
  const values = scaleValues[format.name];
  if (!values) throw new TypeError(`${format.name}: no random blocks of this format`);
  if (mean !== 0 && format.name !== "Q4_K") throw new TypeError(`${format.name}: no random blocks with a mean`);
  for (let at = 0; at < length; at += format.block_bytes) {
    // Blocks differ by a quarter either way, as real ones do, and in sign: what is left of a mean in one kind of block
    // would add up over a row, the same for every row.
    const scale = (0.75 + bytes[at] / 512) * (bytes[at + 1] & 1 ? -deviation : deviation);
    for (const [i, value] of values.entries()) {
      const shift = mean !== 0 && i === 1 ? -mean / MEAN_MINIMUM : 0;
      setScale(format.scale_type, bytes, at + format.scales[i], half(value * scale + shift));
    }
  }
  return bytes;
}

/** The f16 bits of a normal number, rounded towards zero. */
function half(value: number): number {
  const magnitude = Math.max(Math.abs(value), smallest);
  const exponent = Math.floor(Math.log2(magnitude));
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | Math.floor((magnitude / 2 ** exponent - 1) * 1024);
}
