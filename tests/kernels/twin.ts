// The readable twin of the quantized products: one value at a time, in plain arithmetic rounded to f32, in the order of
// addition that every kernel keeps. Also the makers of blocks that no quantizer would write.
import { type BlockFormat, rowBytes } from "../../src/quant/formats.ts";
import { fixture, safetensors } from "../fixtures.ts";
import { half, power, setScale } from "../quant/scales.ts";

export { half } from "../quant/scales.ts";

const f32 = Math.fround;

/** gguf-py's grids and tables, entry by entry. */
const grids = safetensors(fixture("fixtures/gguf_iq/blocks/grids.safetensors")).tensors;
const grid = (name: string, entry: number): number[] => {
  const { data, shape } = grids[name];
  return Array.from(data.subarray(entry * shape[1], (entry + 1) * shape[1]) as Uint8Array, (v) => (v << 24) >> 24);
};
const table = (name: string, nibble: number): number => ((grids[name].data[nibble] as number) << 24) >> 24;
const signByte = (seven: number): number => grids.signs.data[seven] as number;

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
  /** Q2_K, Q3_K, Q6_K, IQ2_XS, IQ2_S, IQ1_M: scales of 16 values. */
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

/** The 32 values of block b of a super-block, from those of its four groups of eight. */
const eights = (b: number, values: (k: number) => number[]): number[] => range(4).flatMap((l) => values(4 * b + l));
/** Eight magnitudes with their signs. */
const signed = (values: number[], sign: number): number[] => values.map((v, j) => (sign & (1 << j) ? -v : v));

const float = (p: Uint8Array, at: number): number => new DataView(p.buffer, p.byteOffset).getFloat32(at, true);

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
  INT4_32: (p) =>
    range(4).map((b) => {
      const scale = float(p, 4 * b);
      return { scale, minimum: f32(-scale * p[16 + b]), code: range(32).map((i) => dwordNibble(p, 20, b, i)) };
    }),
  INT4_128: (p) =>
    range(4).map((b) => ({
      scale: float(p, 0),
      minimum: float(p, 4),
      code: range(32).map((i) => dwordNibble(p, 8, b, i)),
    })),
  INT8_32: (p) =>
    range(4).map((b) => ({
      scale: float(p, 4 * b),
      minimum: float(p, 16 + 4 * b),
      code: range(32).map((i) => (p[32 + 32 * b + i] << 24) >> 24),
    })),
  INT8_128: (p) =>
    range(4).map((b) => ({
      scale: float(p, 0),
      minimum: float(p, 4),
      code: range(32).map((i) => (p[8 + 32 * b + i] << 24) >> 24),
    })),
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
  // Below 4.5 bits: the formulae of the fixtures' README (gguf_iq), which counts eights by k and blocks of 32 by t.
  IQ2_XXS: (p) =>
    range(8).map((t) => ({
      scale: (at(p, 0) * (2 * (u32(p, 6 + 8 * t) >>> 28) + 1)) / 8,
      code: eights(t, (k) =>
        signed(grid("iq2_xxs", p[2 + 8 * t + (k % 4)]), signByte((u32(p, 6 + 8 * t) >>> (7 * (k % 4))) & 127)),
      ),
    })),
  IQ2_XS: (p) =>
    range(8).map((t) => ({
      scale: at(p, 0) / 8,
      group: range(2).map((g) => 2 * nib(p[66 + t], g) + 1),
      code: eights(t, (k) => signed(grid("iq2_xs", u16(p, 2 + 2 * k) & 511), signByte(u16(p, 2 + 2 * k) >> 9))),
    })),
  IQ2_S: (p) =>
    range(8).map((t) => ({
      scale: at(p, 0) / 8,
      group: range(2).map((g) => 2 * nib(p[74 + t], g) + 1),
      code: eights(t, (k) => signed(grid("iq2_s", p[2 + k] | (((p[66 + t] >> (2 * (k % 4))) & 3) << 8)), p[34 + k])),
    })),
  IQ3_XXS: (p) =>
    range(8).map((t) => ({
      scale: (at(p, 0) * (2 * (u32(p, 66 + 4 * t) >>> 28) + 1)) / 4,
      code: eights(t, (k) =>
        signed(
          [...grid("iq3_xxs", p[2 + 2 * k]), ...grid("iq3_xxs", p[3 + 2 * k])],
          signByte((u32(p, 66 + 4 * t) >>> (7 * (k % 4))) & 127),
        ),
      ),
    })),
  IQ3_S: (p) =>
    range(8).map((t) => ({
      scale: at(p, 0) * (2 * nib(p[106 + (t >> 1)], t) + 1),
      code: eights(t, (k) => {
        const entry = (i: number) => p[2 + 2 * k + i] | (((p[66 + t] >> (2 * (k % 4) + i)) & 1) << 8);
        return signed([...grid("iq3_s", entry(0)), ...grid("iq3_s", entry(1))], p[74 + k]);
      }),
    })),
  IQ1_S: (p) =>
    range(8).map((t) => {
      const h = u16(p, 34 + 2 * t);
      const delta = h & 0x8000 ? -1 : 1;
      return {
        scale: (at(p, 0) * (2 * ((h >> 12) & 7) + 1)) / 8,
        code: eights(t, (k) => grid("iq1", p[2 + k] | (((h >> (3 * (k % 4))) & 7) << 8)).map((v) => 8 * v + delta)),
      };
    }),
  IQ1_M: (p) =>
    range(8).map((t) => ({
      scale: half(range(4).reduce((d, i) => d | ((u16(p, 48 + 2 * i) >> 12) << (4 * i)), 0)) / 8,
      group: range(2).map((g) => 2 * ((u16(p, 48 + 2 * (t >> 1)) >> (3 * (2 * (t % 2) + g))) & 7) + 1),
      code: eights(t, (k) => {
        const h = nib(p[32 + (k >> 1)], k);
        return grid("iq1", p[k] | ((h & 7) << 8)).map((v) => 8 * v + (h & 8 ? -1 : 1));
      }),
    })),
  IQ4_NL: (p) => [{ scale: at(p, 0), code: range(32).map((i) => table("iq4", nibble(p, 2, i))) }],
  IQ4_XS: (p) =>
    range(8).map((t) => ({
      scale: at(p, 0) * ((nib(p[4 + (t >> 1)], t) | (((u16(p, 2) >> (2 * t)) & 3) << 4)) - 32),
      code: range(32).map((i) => table("iq4", nibble(p, 8 + 16 * t, i))),
    })),
  MXFP4: (p) => [
    {
      scale: p[0] === 255 ? Number.POSITIVE_INFINITY : power(p[0]),
      code: range(32).map((i) => table("mxfp4", nibble(p, 1, i))),
    },
  ],
  TQ2_0: (p) =>
    range(8).map((t) => ({
      scale: at(p, 64),
      code: range(32).map((j) => ((p[32 * (t >> 2) + j] >> (2 * (t % 4))) & 3) - 1),
    })),
  TQ1_0: (p) => {
    const digit = (byte: number, n: number) => ((((byte * 3 ** n) % 256) * 3) >> 8) - 1;
    const value = (i: number): number => {
      if (i < 160) return digit(p[i % 32], i >> 5);
      if (i < 240) return digit(p[32 + ((i - 160) % 16)], (i - 160) >> 4);
      return digit(p[48 + ((i - 240) % 4)], (i - 240) >> 2);
    };
    return range(8).map((t) => ({ scale: at(p, 52), code: range(32).map((j) => value(32 * t + j)) }));
  },
};

const u16 = (p: Uint8Array, offset: number): number => p[offset] | (p[offset + 1] << 8);
const u32 = (p: Uint8Array, offset: number): number => (u16(p, offset) | (u16(p, offset + 2) << 16)) >>> 0;
const nib = (byte: number, k: number): number => (byte >> (k % 2 ? 4 : 0)) & 15;
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
  for (let block = 0; block < bytes.length; block += format.block_bytes)
    for (const member of format.scales) setScale(format.scale_type, bytes, block + member, scale());
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
