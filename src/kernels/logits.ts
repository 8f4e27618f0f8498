// logits.wasm as the host sees it: the typed twin of assembly/index.ts.
import { EngineError } from "../errors.ts";

/**
 * The exports of logits.wasm. `logits` is the address of f32 [n], changed in place; `ids` and `tokens` are addresses of
 * i32 lists, `scratch` of `scratch_bytes(n)` bytes, `state` of a generator's 16 bytes. Addresses of scratch are multiples
 * of 16, all others of 4 (states: of 8).
 */
export interface LogitsExports {
  scratch_bytes(n: number): number;
  // processors
  repetition_penalty(logits: number, n: number, ids: number, count: number, penalty: number, scratch: number): void;
  frequency_presence_penalty(
    logits: number,
    n: number,
    ids: number,
    count: number,
    frequency: number,
    presence: number,
    scratch: number,
  ): void;
  no_repeat_ngram(logits: number, n: number, ids: number, count: number, size: number): void;
  encoder_no_repeat_ngram(logits: number, n: number, ids: number, count: number, size: number, prompt: number): void;
  sequence_bias(
    logits: number,
    n: number,
    ids: number,
    count: number,
    table: number,
    entries: number,
    scratch: number,
  ): void;
  suppress(logits: number, n: number, tokens: number, count: number): void;
  force(logits: number, n: number, tokens: number, count: number): void;
  allow(logits: number, n: number, tokens: number, count: number, scratch: number): void;
  exponential_decay(logits: number, n: number, tokens: number, count: number, factor: number, steps: number): void;
  remove_invalid(logits: number, n: number): void;
  // warpers
  temperature(logits: number, n: number, value: number): void;
  top_k(logits: number, n: number, k: number, scratch: number): void;
  top_p(logits: number, n: number, p: number, keep: number, scratch: number): void;
  min_p(logits: number, n: number, p: number, keep: number, scratch: number): void;
  typical_p(logits: number, n: number, mass: number, keep: number, scratch: number): void;
  epsilon_cutoff(logits: number, n: number, epsilon: number, keep: number, scratch: number): void;
  eta_cutoff(logits: number, n: number, epsilon: number, keep: number, scratch: number): void;
  top_h(logits: number, n: number, share: number, scratch: number): void;
  // distributions and choices
  softmax(logits: number, n: number): void;
  log_softmax(logits: number, n: number, scratch: number): void;
  /** The first of the largest; -1 where any value is NaN. */
  argmax(logits: number, n: number): number;
  /** Ids of the k largest, largest first, the lowest id first among equals: i32 at `out`. Returns min(k, n), fewer where there are NaN. */
  top_n(logits: number, n: number, k: number, out: number, scratch: number): number;
  /** One id drawn from softmax(logits); -1 where there is no distribution. */
  draw(logits: number, n: number, state: number, scratch: number): number;
  seed_row(state: number, seed: bigint, row: number): void;
  uniform(state: number): number;
  pcg32_start(state: number, initial: bigint, stream: bigint): void;
  pcg32_next(state: number): number;
  splitmix64(seed: bigint, index: bigint): bigint;
  // doubles: exp of |x| < 700 and log of normal numbers, within 1e-15, the same in every engine
  exp(x: number): number;
  log(x: number): number;
}

/**
 * Instantiates logits.wasm on the engine's memory. It needs none of its own: no stack, no data.
 * @param memory - shared, of any size
 * @throws {@link EngineError} when the module does not fit the memory (unshared, or a module of another build)
 */
export function loadLogits(module: WebAssembly.Module, memory: WebAssembly.Memory): LogitsExports {
  try {
    return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as LogitsExports;
  } catch (cause) {
    throw new EngineError(`logits.wasm: ${(cause as Error).message}`, { cause });
  }
}
