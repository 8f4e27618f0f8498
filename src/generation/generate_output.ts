// What a call of generate gives back.
import type { KeyValueCache } from "../model/cache.ts";
import type { Tensor } from "../tensor.ts";
import type { LogProbs } from "./log_probs.ts";
import type { FinishReason } from "./stopping.ts";

/** What `generate` gives back with `return_dict_in_generate`. */
export interface GenerateOutput {
  /** int32 (rows, length), prompt included. */
  sequences: Tensor;
  /** For each step float32 (rows, vocab), processed. */
  scores?: Tensor[];
  /** For each step float32 (rows, vocab), as the model gave them. */
  logits?: Tensor[];
  /** Of beams, with `output_scores`: float32 (rows), the sums of log-probabilities by the length penalty. */
  sequences_scores?: Tensor;
  /** Of beams: int32 (rows, new tokens), the row of `scores` that each token was chosen from; -1 behind the end. */
  beam_indices?: Tensor;
  /** With `top_logprobs`: for each row and new token its log-probability, as the model gave it, and the likeliest ones'. */
  logprobs?: LogProbs[][];
  /** Why each row ended: "stop" at an end of sequence, a stop string or a criterion of the caller's; else "length". */
  finish_reasons: FinishReason[];
  timings: GenerationTimings;
  past_key_values?: KeyValueCache;
}

/** What a call took. */
export interface GenerationTimings {
  /** Prompt tokens that were read, of all rows, and milliseconds until the first new token. */
  prompt_tokens: number;
  prompt_ms: number;
  /** New tokens of all rows, and milliseconds from the first one on. */
  new_tokens: number;
  generate_ms: number;
  /** Of assisted decoding: tokens that were drafted, and those of them that were right. */
  drafted_tokens?: number;
  accepted_tokens?: number;
}
