// Floats rounded to the formats of plain floats, to nearest even, as torch does.
import type { FileFormat } from "./formats.ts";

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** An f32's bits as an f16's; what is too large becomes infinite. */
function half(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // from 65536 on
  if (magnitude >= 0x38800000) {
    // The exponent's bias is 112 less; a carry out of the fraction counts the exponent up, and to infinity.
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - (112 << 23)) >>> 13);
  }
  // Subnormal halves count in units of 2^-24: beside 0.5 a float does so, too, and adding rounds.
  word[0] = magnitude;
  float[0] += 0.5;
  return sign | (word[0] - 0x3f000000);
}

/** The values in a format of plain floats, little-endian. */
export function narrow(values: Float32Array<ArrayBuffer>, format: FileFormat): Uint8Array<ArrayBuffer> {
  const bytes = (from: Uint16Array<ArrayBuffer>) => new Uint8Array(from.buffer, from.byteOffset, from.byteLength);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(format.name === "F32" ? 0 : values.length);
  if (format.name === "F16") for (let i = 0; i < out.length; i++) out[i] = half(bits[i]);
  else if (format.name === "BF16")
    for (let i = 0; i < out.length; i++) {
      const word = bits[i];
      out[i] = (word & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    }
  else return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return bytes(out);
}
