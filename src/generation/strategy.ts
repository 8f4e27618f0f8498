// How a generation gets from scores to tokens. What a strategy wants of the rows is computed in the step; what it chooses
// of the results becomes the rows' next tokens.
import type { Waiting } from "../callbacks.ts";
import type { HeadWants } from "../model/outputs.ts";
import type { Tensor } from "../tensor.ts";
import type { IdRow } from "./id_row.ts";
import type { LogitsProcessorList } from "./processors.ts";

/** What is kept of each step, where a caller asked for it. */
export interface StepTensors {
  /** float32 (rows, vocab) as the model gave them, and as the processors have made them. */
  logits?: Tensor;
  scores?: Tensor;
}

export interface Strategy {
  /** What is wanted so that token `index` of a row can be chosen, which has `length` ids by then. */
  wants(row: number, index: number, length: number): Omit<HeadWants, "head" | "rows">;
  /** What stands for the row's next token in a step before the host knows it; undefined where the host chooses. */
  placeholder(row: number): number | undefined;
  /**
   * The tokens of a step, of the rows that go on; or what gives them, where functions of the caller may have to be waited for.
   * @param ids - for each row of the batch its ids
   * @throws InputError when the scores of a row are no distribution, or a caller's function is wrong
   */
  choose(rows: readonly number[], length: number, ids: readonly IdRow[]): Int32Array | Waiting<Int32Array>;
  /** What was asked for of the last step chosen. */
  tensors(index: number): StepTensors;
  /** The processed scores of the last step chosen, for criteria that look at them: float32 (rows, vocab). */
  readonly step_scores: Tensor | undefined;
  /** Gives its memory back, once no step that is on its way uses it. */
  close(): void;
}

/** What strategies are made with. */
export interface SamplingSettings {
  readonly rows: number;
  readonly vocab: number;
  /** Ids of a row at most. */
  readonly max_length: number;
  readonly processors: LogitsProcessorList;
  readonly do_sample: boolean;
  readonly seed: number | bigint | null | undefined;
  readonly eos: readonly number[];
  readonly output_logits: boolean;
  readonly output_scores: boolean;
  /** How far scores are pushed away from those of companions; none where undefined. */
  readonly guidance?: number;
}
