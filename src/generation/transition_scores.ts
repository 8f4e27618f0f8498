// The log-probabilities of chosen tokens, found again in the scores of each step.
// Source: transformers, `compute_transition_scores`.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type ExactMath, logSumExp } from "../model/probabilities.ts";
import { Tensor, type TokenIds, toRows } from "../tensor.ts";

/** See `CausalLM.compute_transition_scores`. */
export function transitionScores(
  math: ExactMath,
  sequences: readonly Int32Array[],
  scores: readonly Tensor[],
  beam_indices: TokenIds | null | undefined,
  normalize_logits: boolean,
): Tensor {
  if (!Array.isArray(scores) || !scores.every((step) => step instanceof Tensor && step.dims.length === 2))
    throw new InputError(`scores: expected a Tensor [rows, vocab] for each step, found ${show(scores)}`);
  if (scores.length === 0) throw new InputError("scores: expected those of at least one step, found none");
  const beams =
    beam_indices == null
      ? sequences.map((_, row) => new Int32Array(scores.length).fill(row))
      : toRows(beam_indices, "beam_indices");
  if (beams.length !== sequences.length)
    throw new InputError(`beam_indices: expected ${sequences.length} rows, found ${beams.length}`);
  const steps = Math.max(...beams.map((row) => row.findLastIndex((beam) => beam >= 0) + 1));
  const first = sequences[0].length - steps;
  if (first < 0 || steps > scores.length)
    throw new InputError(
      `sequences: expected at least ${steps} tokens and scores, found ${sequences[0].length}, ${scores.length}`,
    );
  const data = new Float32Array(sequences.length * steps);
  for (const [row, beam] of beams.entries()) {
    for (let step = 0; step < steps; step++) {
      if (beam[step] < 0) continue;
      const values = scores[step].row(beam[step]).data as Float32Array;
      const token = sequences[row][first + step];
      if (token < 0 || token >= values.length)
        throw new InputError(`sequences[${row}]: expected token ids below ${values.length}, found ${token}`);
      const value = values[token];
      data[row * steps + step] = normalize_logits ? value - logSumExp(math, values) : value;
    }
  }
  return new Tensor("float32", data, [sequences.length, steps]);
}
