// What a logits processor is: something that changes the scores of one row in place, given the row's ids so far. Most are
// calls of logits.wasm, told as data, so that the threads can make them; some ask a function of the caller.
import type { Waiting } from "../callbacks.ts";
import { applyOperation, type Operation } from "../model/sampling.ts";
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
export abstract class RowProcessor {
  /** What it does to row `row` of a batch, as data; undefined where only the host can do it. */
  abstract operations(row: number): readonly Operation[] | undefined;

  /** How many ids (32-bit words) it lays into the workspace at most. */
  list_ids(_vocab_size: number): number {
    return (this.operations(0) ?? []).reduce((sum, { list }) => sum + (list?.ids.length ?? 0), 0);
  }

  /** Changes the scores. @returns what may have to wait for a function of the caller's, where one is asked */
  process({ workspace, logits, input_ids, ids, row }: LogitsRow): Waiting<void> | undefined {
    const { exports, vocab_size: vocab, scratch } = workspace;
    const at = { scores: logits, vocab, ids, length: input_ids.length, scratch };
    for (const operation of this.operations(row) ?? [])
      applyOperation(exports, operation, at, (list) => workspace.put(list.ids));
    return undefined;
  }
}
