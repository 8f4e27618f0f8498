// Mixtral with a head of classes: one answer for each row, or one for each token.
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { InputError } from "../errors.ts";
import { Tensor, type TokenIds, toRows } from "../tensor.ts";
import { checkLabels } from "./forward_output.ts";
import type { ForwardInputs, InputRow } from "./inputs.ts";
import { binaryCrossEntropy, crossEntropy, meanSquaredError } from "./losses.ts";
import { type ModelOutput, PreTrainedModel } from "./pretrained.ts";

/** What a classifier's forward pass gives back. */
export interface ClassifierOutput extends ModelOutput {
  /** float32 (rows, num_labels), of tokens (rows, length, num_labels) */
  logits: Tensor;
  loss?: number;
}

/** What a classifier of texts takes. */
export interface SequenceClassificationInputs extends ForwardInputs {
  /**
   * (rows) the class of each, or what a regression aims at; (rows, num_labels) of a regression or of several labels: then
   * the result has `loss`.
   */
  labels?: Tensor | readonly number[] | readonly (readonly number[])[] | undefined;
}

/** Labels as numbers, `width` for each row, and what they are. */
interface LabelValues {
  readonly values: Float64Array;
  readonly type: NonNullable<MixtralConfig["problem_type"]>;
  readonly width: number;
}

export interface MixtralForSequenceClassification {
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: SequenceClassificationInputs): Promise<ClassifierOutput>;
  /** The same. */
  forward(inputs: SequenceClassificationInputs): Promise<ClassifierOutput>;
}

/**
 * Classifies each row by its last token that is no padding: the last whose id is not `pad_token_id`.
 * @example
 * const shape = { vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 };
 * const model = await MixtralForSequenceClassification.from_config({ ...shape, num_labels: 3, pad_token_id: 0 });
 * (await model({ input_ids: [[5, 6, 7], [8, 9, 0]] })).logits.dims // [2, 3]
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralForSequenceClassification extends PreTrainedModel {
  /** @internal */
  static override readonly head = "score";
  declare readonly config: MixtralConfig;
  /** @internal */
  protected override readonly own_arguments = ["labels"];

  /** @internal */
  protected async compute(inputs: SequenceClassificationInputs): Promise<ClassifierOutput> {
    const { num_labels } = this.config;
    const labels = inputs.labels === undefined ? undefined : this.labelValues(inputs.labels);
    const { logits, aux_loss, ...results } = await this.run(inputs, (rows, length) => {
      if (labels && labels.values.length !== rows.length * labels.width)
        throw new InputError(
          `labels: expected [${rows.length}] or [${rows.length}, ${num_labels}], found ${labels.values.length} values`,
        );
      return { kept: this.lastTokens(inputs, rows, length), size: num_labels };
    });
    const [batch] = logits!.dims;
    const values = logits!.data as Float32Array;
    return {
      logits: new Tensor("float32", values, [batch, num_labels]),
      ...results,
      ...(labels ? { loss: this.loss(values, labels) } : {}),
    };
  }

  /** The column of each row that is classified. */
  private lastTokens(inputs: ForwardInputs, rows: readonly InputRow[], length: number): Uint32Array[] {
    const { pad_token_id } = this.config;
    const ids = inputs.input_ids === undefined ? undefined : toRows(inputs.input_ids);
    if (pad_token_id === null && rows.length > 1)
      throw new InputError(`input_ids: ${rows.length} rows, and config.pad_token_id is null: no padding could be told`);
    return rows.map(({ columns }, b) => {
      // Embeddings do not tell padding; a row of padding alone is judged by its first token.
      const last =
        ids && pad_token_id !== null
          ? Math.max(
              0,
              ids[b].findLastIndex((id) => id !== pad_token_id),
            )
          : length - 1;
      if (!columns.includes(last))
        throw new InputError(`attention_mask[${b}][${last}]: hides the last token that is no padding`);
      return Uint32Array.of(last);
    });
  }

  private labelValues(labels: NonNullable<SequenceClassificationInputs["labels"]>): LabelValues {
    const { num_labels, problem_type } = this.config;
    const nested = labels instanceof Tensor ? labels.dims.length === 2 : Array.isArray(labels[0]);
    const values = Float64Array.from(
      labels instanceof Tensor ? Array.from(labels.data, Number) : (labels as number[][]).flat(),
    );
    const type =
      problem_type ??
      (num_labels === 1 ? "regression" : nested ? "multi_label_classification" : "single_label_classification");
    const classes = type === "single_label_classification";
    const wrong = values.findIndex((v) =>
      classes ? v !== -100 && !(Number.isInteger(v) && v >= 0 && v < num_labels) : !Number.isFinite(v),
    );
    if (wrong >= 0)
      throw new InputError(
        `labels[${wrong}]: expected ${classes ? `a class in [0, ${num_labels}) or -100` : "a number"}, found ${values[wrong]}`,
      );
    return { values, type, width: classes ? 1 : num_labels };
  }

  private loss(logits: Float32Array, { values, type }: LabelValues): number {
    if (type === "regression") return meanSquaredError(logits, values);
    if (type === "multi_label_classification") return binaryCrossEntropy(this.math, logits, values);
    return crossEntropy(this.math, rowsOf(logits, this.config.num_labels), values);
  }
}

/** What a classifier of tokens takes. */
export interface TokenClassificationInputs extends ForwardInputs {
  /** (rows, length) the class of each token, -100 where one does not count: then the result has `loss`. */
  labels?: TokenIds | undefined;
}

export interface MixtralForTokenClassification {
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: TokenClassificationInputs): Promise<ClassifierOutput>;
  /** The same. */
  forward(inputs: TokenClassificationInputs): Promise<ClassifierOutput>;
}

/**
 * Classifies each token.
 * @example
 * const shape = { vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 };
 * const model = await MixtralForTokenClassification.from_config({ ...shape, num_labels: 5 });
 * (await model({ input_ids: [[5, 6, 7]] })).logits.dims // [1, 3, 5]
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralForTokenClassification extends PreTrainedModel {
  /** @internal */
  static override readonly head = "score";
  declare readonly config: MixtralConfig;
  /** @internal */
  protected override readonly own_arguments = ["labels"];

  /** @internal */
  protected async compute(inputs: TokenClassificationInputs): Promise<ClassifierOutput> {
    const { num_labels } = this.config;
    const labels = inputs.labels === undefined ? undefined : toRows(inputs.labels, "labels");
    let first: readonly number[] = [];
    const { logits, aux_loss, ...results } = await this.run(inputs, (rows, length) => {
      if (labels) checkLabels(labels, rows.length, length, num_labels, "a class");
      first = rows.map(({ columns }) => columns[0] ?? length);
      const all = Uint32Array.from({ length }, (_, i) => i);
      return { kept: rows.map(() => all), size: num_labels };
    });
    const tokens = rowsOf(logits!.data as Float32Array, num_labels);
    return {
      logits: logits!,
      ...results,
      ...(labels
        ? {
            // What is predicted from padding before a text is undefined.
            loss: crossEntropy(
              this.math,
              tokens,
              labels.flatMap((row, b) => [...row].map((label, i) => (i < first[b] ? -100 : label))),
            ),
          }
        : {}),
    };
  }
}

/** The rows of (rows, width) values. */
const rowsOf = (values: Float32Array, width: number): Float32Array[] =>
  Array.from({ length: values.length / width }, (_, i) => values.subarray(i * width, (i + 1) * width));
