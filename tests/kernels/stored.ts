// The readable twin of the cache's rows: values as a type of cache holds them.
import type { KvType } from "./paged.ts";

const f32 = Math.fround;

/** The nearest half's value, ties to even: a multiple of its unit in the last place. */
export function nearestHalf(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const a = Math.abs(x);
  const unit = 2 ** Math.max(Math.floor(Math.log2(a)) - 10, -24);
  const steps = a / unit;
  let whole = Math.floor(steps);
  if (steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1)) whole++;
  const value = whole * unit >= 65536 ? Infinity : whole * unit;
  return x < 0 ? -value : value;
}

/** 32 values as ggml's quantize_row_q8_0_ref has them: scale amax / 127, codes rounded half away from zero. */
export function quantizeBlock(x: Float32Array): { scale: number; codes: number[] } {
  const d = f32(x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127);
  const inverse = f32(1 / d) < Infinity ? f32(1 / d) : 0;
  const codes = Array.from(x, (value) => {
    const scaled = Math.abs(f32(value * inverse));
    return Math.sign(value) * (Math.floor(scaled) + (scaled % 1 >= 0.5 ? 1 : 0));
  });
  return { scale: nearestHalf(d), codes };
}

/** Whole rows in, rows out; finite values. */
export function stored(values: Float32Array, type: KvType): Float32Array {
  if (type === "f32") return values;
  if (type === "f16") return values.map(nearestHalf);
  const out = new Float32Array(values.length);
  for (let from = 0; from < values.length; from += 32) {
    const { scale, codes } = quantizeBlock(values.subarray(from, from + 32));
    for (const [i, code] of codes.entries()) out[from + i] = scale * code;
  }
  return out;
}
