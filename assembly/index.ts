// logits.wasm: per-token work on the logits of one row, f32 [n] in the engine's own memory, in place. The module imports
// that memory, allocates nothing and has no static data; pointers are byte offsets, multiples of 16 where not said
// otherwise (lists of ids: of 4). src/kernels/logits.ts is its typed twin.
export { draw, pcg32_next, pcg32_start, seed_row, splitmix64, uniform } from "./draw";
export { exp, log } from "./math";
export {
  allow,
  encoder_no_repeat_ngram,
  exponential_decay,
  force,
  frequency_presence_penalty,
  no_repeat_ngram,
  remove_invalid,
  repetition_penalty,
  sequence_bias,
  suppress,
} from "./processors";
export { argmax, log_softmax, softmax } from "./softmax";
export { top_h } from "./top_h";
export {
  epsilon_cutoff,
  eta_cutoff,
  min_p,
  scratch_bytes,
  temperature,
  top_k,
  top_n,
  top_p,
  typical_p,
} from "./warpers";
