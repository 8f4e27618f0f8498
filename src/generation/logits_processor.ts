// What a logits processor is: something that changes the scores of one row in place, given the row's ids so far.
import type { LogitsWorkspace } from "./logits_module.ts";

/** One row of scores with the ids that led to it. */
export interface LogitsRow {
  readonly workspace: LogitsWorkspace;
  /** Address of the scores: f32 [vocab_size], changed in place. */
  readonly logits: number;
  /** Prompt and generated ids so far, padding included. */
  readonly input_ids: Int32Array;
  /** Address of `input_ids` in the workspace. */
  readonly ids: number;
  /** The row's number in the batch. */
  readonly row: number;
}

/** Base of the processors and warpers, which are named as in Hugging Face's transformers. */
export abstract class LogitsProcessor {
  /** How many ids (32-bit words) it lays into the workspace at most. */
  list_ids(_vocab_size: number): number {
    return 0;
  }

  abstract process(row: LogitsRow): void;
}
