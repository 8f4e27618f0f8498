// Mixtral with a head that points: where in a text the answer to a question begins and ends.
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { InputError } from "../errors.ts";
import { Tensor, type TokenIds, toRows } from "../tensor.ts";
import type { ForwardInputs } from "./inputs.ts";
import { crossEntropy } from "./losses.ts";
import { type ModelOutput, PreTrainedModel } from "./pretrained.ts";

/** What question answering takes. */
export interface QuestionAnsweringInputs extends ForwardInputs {
  /**
   * (rows) the index of the answer's first token; beyond the row: it does not count. With `end_positions` the result has
   * `loss`.
   */
  start_positions?: TokenIds | undefined;
  /** (rows) of its last. */
  end_positions?: TokenIds | undefined;
}

/** What its forward pass gives back. */
export interface QuestionAnsweringOutput extends ModelOutput {
  /** float32 (rows, length) */
  start_logits: Tensor;
  /** float32 (rows, length) */
  end_logits: Tensor;
  /** The mean of the cross entropies of start and end. */
  loss?: number;
}

export interface MixtralForQuestionAnswering {
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: QuestionAnsweringInputs): Promise<QuestionAnsweringOutput>;
  /** The same. */
  forward(inputs: QuestionAnsweringInputs): Promise<QuestionAnsweringOutput>;
}

/**
 * Finds where an answer stands in a text.
 * @example
 * const shape = { vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 };
 * const model = await MixtralForQuestionAnswering.from_config(shape);
 * (await model({ input_ids: [[5, 6, 7, 8]] })).start_logits.dims // [1, 4]
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralForQuestionAnswering extends PreTrainedModel {
  /** @internal */
  static override readonly head = "qa_outputs";
  declare readonly config: MixtralConfig;
  /** @internal */
  protected override readonly own_arguments = ["start_positions", "end_positions"];

  /** @internal */
  protected async compute(inputs: QuestionAnsweringInputs): Promise<QuestionAnsweringOutput> {
    const starts = places(inputs.start_positions, "start_positions");
    const ends = places(inputs.end_positions, "end_positions");
    let first: readonly number[] = [];
    const { logits, aux_loss, ...results } = await this.run(inputs, (rows, length) => {
      checkCount(starts, "start_positions", rows.length);
      checkCount(ends, "end_positions", rows.length);
      const all = Uint32Array.from({ length }, (_, i) => i);
      first = rows.map(({ columns }) => columns[0] ?? length);
      return { kept: rows.map(() => all), size: 2 };
    });
    const [batch, length] = logits!.dims;
    const channel = (c: number) => {
      const values = new Float32Array(batch * length).map((_, i) => logits!.data[2 * i + c] as number);
      return new Tensor("float32", values, [batch, length]);
    };
    const [start_logits, end_logits] = [channel(0), channel(1)];
    // Positions beyond the row are clamped to its length, which is ignored. In padding before a text is no answer.
    const loss = (of: Tensor, at: Int32Array) =>
      crossEntropy(
        this.math,
        first.map((from, b) => (of.row(b).data as Float32Array).map((v, i) => (i < from ? -Infinity : v))),
        at.map((p, b) => (p < first[b] ? length : Math.min(p, length))),
        length,
      );
    return {
      start_logits,
      end_logits,
      ...results,
      ...(starts && ends ? { loss: (loss(start_logits, starts) + loss(end_logits, ends)) / 2 } : {}),
    };
  }
}

/** One index for each row: [row] or [row, 1]. */
function places(given: TokenIds | undefined, name: string): Int32Array | undefined {
  if (given === undefined) return undefined;
  const rows = toRows(given, name);
  return rows.length > 1 || rows[0].length === 1 ? Int32Array.from(rows, (row) => row[0]) : rows[0];
}

function checkCount(given: Int32Array | undefined, name: string, rows: number): void {
  if (given && given.length !== rows) throw new InputError(`${name}: expected [${rows}], found [${given.length}]`);
}
