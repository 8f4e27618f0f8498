// The seeded draw. Generator: PCG32 (M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
// Algorithms for Random Number Generation", 2014; XSH-RR output of a 64-bit congruential generator), 16 bytes of state:
// u64 state, u64 increment (odd). A row's stream starts from an output of SplitMix64 (Steele, Lea, Flood, 2014), so that
// rows with one seed are unrelated.
import { exponentials, maximum } from "./softmax";
import { at } from "./vectors";

/** The (index + 1)-th output of SplitMix64 started with `seed`. */
export function splitmix64(seed: u64, index: u64): u64 {
  // biome-ignore lint/correctness/noPrecisionLoss: a u64 here
  let z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  // biome-ignore lint/correctness/noPrecisionLoss: a u64 here
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  // biome-ignore lint/correctness/noPrecisionLoss: a u64 here
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/** Starts PCG32 as its reference implementation does: from an initial state and a stream. */
export function pcg32_start(state: usize, initial: u64, stream: u64): void {
  store<u64>(state, 0);
  store<u64>(state, (stream << 1) | 1, 8);
  pcg32_next(state);
  store<u64>(state, load<u64>(state) + initial);
  pcg32_next(state);
}

/** The next 32 random bits. */
export function pcg32_next(state: usize): u32 {
  const old = load<u64>(state);
  // biome-ignore lint/correctness/noPrecisionLoss: a u64 here
  store<u64>(state, old * 6364136223846793005 + load<u64>(state, 8));
  return rotr<u32>(<u32>(((old >> 18) ^ old) >> 27), <u32>(old >> 59));
}

/** Starts the generator of one row: it depends on the seed and the row's number alone. */
export function seed_row(state: usize, seed: u64, row: u32): void {
  pcg32_start(state, splitmix64(seed, row), row);
}

/** A multiple of 2^-53 in [0, 1). */
export function uniform(state: usize): f64 {
  const high = <f64>(pcg32_next(state) >> 5);
  const low = <f64>(pcg32_next(state) >> 6);
  return (high * 67108864 + low) / 9007199254740992;
}

/**
 * Draws an index with the probabilities softmax(logits): the first at which the running sum of e^(x - max), added up in
 * the order of the indices in f64, exceeds uniform * total. Returns -1 where there is no distribution (a NaN, +infinity,
 * or nothing left), having drawn all the same. scratch: f32 [n].
 */
export function draw(logits: usize, n: i32, state: usize, scratch: usize): i32 {
  const share = uniform(state);
  exponentials(logits, n, maximum(logits, n), scratch);
  const limit = share * sumTo(scratch, n, Infinity);
  sumTo(scratch, n, limit);
  return reached;
}

/** Where sumTo stopped; -1 where it did not. */
let reached: i32 = -1;

/** Adds up f32 [n] in order until the sum exceeds the limit. */
function sumTo(values: usize, n: i32, limit: f64): f64 {
  let sum: f64 = 0;
  let i = 0;
  while (i < n) {
    // Four zeros at once: after top_k nearly all are.
    if (i + 4 <= n && !v128.any_true(v128.load(at(values, i)))) {
      i += 4;
      continue;
    }
    const end = min(i + 4, n);
    for (; i < end; i++) {
      sum += <f64>load<f32>(at(values, i));
      if (sum > limit) {
        reached = i;
        return sum;
      }
    }
  }
  reached = -1;
  return sum;
}
