// The readable twin of the quantized products: one value at a time, in plain arithmetic rounded to f32, in the order of
// addition that every kernel keeps. Also the makers of blocks that no quantizer would write.
import { type BlockFormat, rowBytes } from "../../src/quant/formats.ts";

const f32 = Math.fround;

/** The value of an f16's bits, exactly. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Nearest integer, ties to even. */
function nearest(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** 32 weights: value i is `scale * group[i >> 4] * code[i] + minimum - groupScale * groupMinimum[i >> 4]`. */
interface Block {
  code: number[];
  scale: number;
  /** Q4_1, Q5_1, Q4_K, Q5_K. */
  minimum?: number;
  /** Q2_K, Q3_K, Q6_K: scales of 16 values. */
  group?: number[];
  /** Q2_K: the super-block's dmin and minimums of 16 values. */
  superMinimum?: number;
  groupMinimum?: number[];
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Scale j and minimum j of the twelve bytes of Q4_K and Q5_K. */
function sixBits(s: Uint8Array, j: number): [number, number] {
  if (j < 4) return [s[j] & 63, s[j + 4] & 63];
  return [(s[j + 4] & 15) | ((s[j - 4] >> 6) << 4), (s[j + 4] >> 4) | ((s[j] >> 6) << 4)];
}

/** Scale j of Q3_K's twelve bytes, 0..63. */
function threeK(s: Uint8Array, j: number): number {
  const low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
  return low | (((s[8 + (j % 4)] >> (2 * (j >> 2))) & 3) << 4);
}

/** Decodes one block of 32 values, or a super-block into its eight. */
const decoders: Record<string, (p: Uint8Array) => Block[]> = {
  Q8_0: (p) => [{ scale: at(p, 0), code: range(32).map((i) => (p[2 + i] << 24) >> 24) }],
  Q4_0: (p) => [{ scale: at(p, 0), code: range(32).map((i) => nibble(p, 2, i) - 8) }],
  Q4_1: (p) => [{ scale: at(p, 0), minimum: at(p, 2), code: range(32).map((i) => nibble(p, 4, i)) }],
  Q5_0: (p) => [{ scale: at(p, 0), code: range(32).map((i) => nibble(p, 6, i) + 16 * bit(p, 2, i) - 16) }],
  Q5_1: (p) => [
    { scale: at(p, 0), minimum: at(p, 2), code: range(32).map((i) => nibble(p, 8, i) + 16 * bit(p, 4, i)) },
  ],
  Q4_K: (p) => range(8).map((b) => withMinimum(p, b, (i) => pairNibble(p, 16, b, i))),
  // Repacked: the fours of values stand block beside block.
  Q4_0_R: (p) =>
    range(4).map((b) => ({ scale: at(p, 2 * b), code: range(32).map((i) => dwordNibble(p, 8, b, i) - 8) })),
  Q4_K_R: (p) => range(8).map((b) => withMinimum(p, b, (i) => dwordNibble(p, 16 + 64 * (b >> 2), b % 4, i))),
  Q5_K: (p) => range(8).map((b) => withMinimum(p, b, (i) => pairNibble(p, 48, b, i) + 16 * ((p[16 + i] >> b) & 1))),
  Q6_K: (p) =>
    range(8).map((b) => ({
      scale: at(p, 208),
      group: range(2).map((g) => (p[192 + 2 * b + g] << 24) >> 24),
      code: range(32).map((i) => {
        const low = p[64 * (b >> 2) + 32 * (b % 2) + i] >> (b % 4 >= 2 ? 4 : 0);
        const high = p[128 + 32 * (b >> 2) + i] >> (2 * (b % 4));
        return ((low & 15) | ((high & 3) << 4)) - 32;
      }),
    })),
  Q3_K: (p) =>
    range(8).map((b) => ({
      scale: at(p, 108),
      group: range(2).map((g) => threeK(p.subarray(96, 108), 2 * b + g) - 32),
      code: range(32).map((i) => ((p[32 + 32 * (b >> 2) + i] >> (2 * (b % 4))) & 3) + 4 * ((p[i] >> b) & 1) - 4),
    })),
  Q2_K: (p) =>
    range(8).map((b) => ({
      scale: at(p, 80),
      superMinimum: at(p, 82),
      group: range(2).map((g) => p[2 * b + g] & 15),
      groupMinimum: range(2).map((g) => p[2 * b + g] >> 4),
      code: range(32).map((i) => (p[16 + 32 * (b >> 2) + i] >> (2 * (b % 4))) & 3),
    })),
};

const at = (p: Uint8Array, offset: number): number => half(p[offset] | (p[offset + 1] << 8));
const nibble = (p: Uint8Array, from: number, i: number): number => (p[from + (i % 16)] >> (i < 16 ? 0 : 4)) & 15;
const dwordNibble = (p: Uint8Array, from: number, b: number, i: number): number =>
  (p[from + 16 * ((i >> 2) % 4) + 4 * b + (i % 4)] >> (i < 16 ? 0 : 4)) & 15;
const bit = (p: Uint8Array, from: number, i: number): number => (p[from + (i >> 3)] >> (i % 8)) & 1;
const pairNibble = (p: Uint8Array, from: number, b: number, i: number): number =>
  (p[from + 32 * (b >> 1) + i] >> (b % 2 ? 4 : 0)) & 15;
function withMinimum(p: Uint8Array, b: number, code: (i: number) => number): Block {
  const [scale, minimum] = sixBits(p.subarray(4, 16), b);
  return { scale: f32(at(p, 0) * scale), minimum: -f32(at(p, 2) * minimum), code: range(32).map(code) };
}

/** The blocks of 32 of one row. */
export function decodeRow(format: BlockFormat, row: Uint8Array): Block[] {
  return range(row.length / format.block_bytes).flatMap((i) =>
    decoders[format.name](row.subarray(i * format.block_bytes, (i + 1) * format.block_bytes)),
  );
}

/** 32 activations: value i is about `scale * q[i]`. */
interface Quantized {
  q: number[];
  scale: number;
}

/** Activations below this size count as zero (cpp/f32x4.h). */
export const NEGLIGIBLE = 2 ** -64;

/** Activations to int8 per 32 values. */
export function quantize(x: Float32Array): Quantized[] {
  return range(x.length / 32).map((b) => {
    const values = x.subarray(32 * b, 32 * b + 32);
    const amax = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    if (amax < NEGLIGIBLE) return { scale: 0, q: Array.from(values, () => 0) };
    const inverse = f32(127 / amax);
    return { scale: f32(amax / 127), q: Array.from(values, (v) => nearest(f32(v * inverse))) };
  });
}

const dot = (a: number[], b: number[], from: number, to: number): number => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += a[i] * b[i];
  return sum;
};
const total = (q: number[], from: number, to: number): number => q.slice(from, to).reduce((a, b) => a + b, 0);

/** One value of a product: accumulator lane = block mod 4, ended by (a0 + a1) + (a2 + a3). */
export function product(row: Block[], x: Quantized[]): number {
  const lanes = [0, 0, 0, 0];
  for (let b = 0; b < row.length; b++) {
    const w = row[b];
    const { q, scale } = x[b];
    const [k0, k1] = w.group ?? [1, 1];
    const whole = k0 * dot(w.code, q, 0, 16) + k1 * dot(w.code, q, 16, 32);
    let value = f32(whole * f32(w.scale * scale));
    if (w.minimum !== undefined) value = f32(value + f32(w.minimum * f32(scale * total(q, 0, 32))));
    if (w.groupMinimum) {
      const minus = -(w.groupMinimum[0] * total(q, 0, 16) + w.groupMinimum[1] * total(q, 16, 32));
      value = f32(value + f32(minus * f32(w.superMinimum! * scale)));
    }
    lanes[b % 4] = f32(lanes[b % 4] + value);
  }
  return f32(f32(lanes[0] + lanes[1]) + f32(lanes[2] + lanes[3]));
}

/** Rows of blocks: every byte from `byte`, every scale from `scale` (bits). */
export function makeRows(format: BlockFormat, cols: number, rows: number, byte: () => number, scale: () => number) {
  const bytes = new Uint8Array(rows * rowBytes(format, cols)).map(byte);
  for (let block = 0; block < bytes.length; block += format.block_bytes) {
    for (const member of format.scales) {
      const bits = scale();
      bytes[block + member] = bits & 255;
      bytes[block + member + 1] = bits >> 8;
    }
  }
  return bytes;
}

/** A small generator of uniform 32-bit integers, the same in every run. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return (z ^ (z >>> 14)) >>> 0;
  };
}
