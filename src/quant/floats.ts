// Plain floats on the host: the values that F32, F16 and BF16 stand for, and the nearest of each to a value, ties to even.
// For the few values that are computed there; the threads have kernels.
import type { FormatName } from "./formats.ts";

export type FloatName = Extract<FormatName, "F32" | "F16" | "BF16">;

interface Float {
  readonly bytes: number;
  /** Binary digits of a value, the one before the point included; the least exponent that has them all, and the largest. */
  readonly digits: number;
  readonly least: number;
  readonly most: number;
}

const floats: Readonly<Record<FloatName, Float>> = {
  F32: { bytes: 4, digits: 24, least: -126, most: 127 },
  F16: { bytes: 2, digits: 11, least: -14, most: 15 },
  BF16: { bytes: 2, digits: 8, least: -126, most: 127 },
};

export const isFloat = (name: string): name is FloatName => Object.hasOwn(floats, name);

export const floatBytes = (name: FloatName): number => floats[name].bytes;

/** The values of some bytes, little-endian; as many as whole ones fit. */
export function decodeFloats(name: FloatName, bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(Math.floor(bytes.length / floats[name].bytes));
  if (name === "F32") for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  else if (name === "F16") for (let i = 0; i < values.length; i++) values[i] = halves()[view.getUint16(2 * i, true)];
  else {
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < words.length; i++) words[i] = view.getUint16(2 * i, true) << 16;
  }
  return values;
}

/** The nearest of a format's values to each, in its bytes. */
export function encodeFloats(name: FloatName, values: ArrayLike<number>): Uint8Array {
  const { bytes, digits, least, most } = floats[name];
  const out = new Uint8Array(values.length * bytes);
  const view = new DataView(out.buffer);
  for (let i = 0; i < values.length; i++) {
    if (name === "F32") {
      view.setFloat32(4 * i, values[i], true);
      continue;
    }
    // Exactly a float32: no second rounding.
    const word = floatBits(rounded(values[i], digits, least, most));
    view.setUint16(2 * i, name === "BF16" ? word >>> 16 : halfBits(word), true);
  }
  return out;
}

const double = new DataView(new ArrayBuffer(8));

const exponentOf = (x: number): number => {
  double.setFloat64(0, x);
  return ((double.getUint16(0) >> 4) & 0x7ff) - 1023;
};

/** 2^n, exactly in every engine, of n from −1022 on. */
const powerOfTwo = (n: number): number => {
  double.setUint32(0, (n + 1023) << 20);
  double.setUint32(4, 0);
  return double.getFloat64(0);
};

const floatBits = (x: number): number => {
  double.setFloat32(0, x);
  return double.getUint32(0);
};

/** A double to so many binary digits, fewer below the least exponent, infinite above the largest; ties to even. */
function rounded(x: number, digits: number, least: number, most: number): number {
  if (!Number.isFinite(x)) return x;
  const ulp = powerOfTwo(Math.max(exponentOf(x), least) - digits + 1);
  // Adding a number whose last digit is worth one leaves a double no digits behind the point.
  const whole = Math.abs(x) / ulp + 2 ** 52 - 2 ** 52;
  const size = whole * ulp;
  return Math.sign(x) * (size >= powerOfTwo(most + 1) ? Infinity : size);
}

/** The half whose value a float32 has, as bits. */
function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const exponent = (word >>> 23) & 0xff;
  const mantissa = word & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  if (exponent > 112) return sign | ((exponent - 112) << 10) | (mantissa >>> 13);
  return sign | (exponent < 102 ? 0 : (mantissa | 0x800000) >>> (126 - exponent));
}

let table: Float32Array | undefined;

/** The value of each of the 65,536 halves. */
function halves(): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const [exponent, mantissa] = [(bits >>> 10) & 31, bits & 0x3ff];
    const size =
      exponent === 31
        ? mantissa
          ? NaN
          : Infinity
        : exponent
          ? (1 + mantissa / 1024) * powerOfTwo(exponent - 15)
          : mantissa * powerOfTwo(-24);
    return bits & 0x8000 ? -size : size;
  });
  return table;
}
