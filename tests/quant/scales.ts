// Writes the scales of blocks in each of the ways that formats have them.
import type { ScaleType } from "../../src/quant/formats.ts";

/** The value of an f16's bits, exactly. The kernels take the exponent of infinities and NaN for one more. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Of a lone exponent e, which means 2^(e - 128), that of the f16 number 1. */
const EXPONENT_OF_ONE = 128;

/**
 * @param at - where the scale begins
 * @param bits - an f16's; of a f32, whose lower half is left as it is, its value's upper half. A lone exponent has its power of two; of the subnormal ones it has 0 or 1, by their last bit
 */
export function setScale(type: ScaleType, bytes: Uint8Array, at: number, bits: number): void {
  if (type === "exponent") {
    const exponent = (bits >> 10) & 31;
    bytes[at] = exponent === 31 ? 255 : exponent === 0 ? bits & 1 : EXPONENT_OF_ONE + exponent - 15;
  } else if (type === "nibbles") {
    for (let i = 0; i < 4; i++) bytes[at + 2 * i + 1] = (bytes[at + 2 * i + 1] & 15) | (((bits >> (4 * i)) & 15) << 4);
  } else {
    if (type === "f32") bits = new Uint32Array(Float32Array.of(half(bits)).buffer)[0] >>> 16;
    bytes[at] = bits & 255;
    bytes[at + 1] = bits >> 8;
  }
}

/** A lone exponent's value. */
export const power = (e: number): number => 2 ** (e - EXPONENT_OF_ONE);
