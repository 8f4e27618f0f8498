// Seeded random numbers for tests: the same sequence in every runtime.

/** Uniform numbers in [0, 1), 32 bits each (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `length` values, roughly normal (a sum of four uniform ones), times `scale`. */
export function normal(seed: number, length: number, scale = 1): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => (next() + next() + next() + next() - 2) * Math.sqrt(3) * scale);
}
