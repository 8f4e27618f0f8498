// pipeline("text-classification", …): the likeliest labels of texts.
import { givenOptions } from "../arguments.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { MixtralForSequenceClassification } from "../model/classification.ts";
import { sigmoid, softmax } from "../model/probabilities.ts";
import type { PipelineModels } from "./models.ts";
import { Pipeline, textsOf } from "./pipeline.ts";

/** A label and how likely it is. */
export interface LabelScore {
  label: string;
  /** A probability; of a regression the value itself. */
  score: number;
}

/** The likeliest labels of a text, at least one. */
export type LabelScores = [LabelScore, ...LabelScore[]];

/** What a call may be told. */
export interface TextClassificationOptions {
  /** How many labels, the likeliest first; null: all. @default 1 */
  top_k?: number | null | undefined;
}

export interface TextClassificationPipeline {
  /** One label for each text. */
  (text: string, options?: { top_k?: 1 | undefined }): Promise<[LabelScore]>;
  (texts: string | readonly string[], options?: { top_k?: 1 | undefined }): Promise<LabelScore[]>;
  (text: string, options: TextClassificationOptions): Promise<LabelScores>;
  (texts: readonly string[], options: TextClassificationOptions): Promise<LabelScores[]>;
}

/** Source: transformers.js, and of what scores are, transformers' text_classification.py. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class TextClassificationPipeline extends Pipeline<MixtralForSequenceClassification> {
  readonly task = "text-classification";

  /** @internal */
  async _call(input: string | readonly string[], options?: TextClassificationOptions | null): Promise<unknown> {
    const { top_k = 1 } = givenOptions(options, this.task, ["top_k"], ["top_k"]);
    const texts = textsOf(this.task, input);
    if (top_k !== null && !(Number.isInteger(top_k) && top_k > 0))
      throw new InputError(`top_k: expected a count of labels, or null for all, found ${show(top_k)}`);
    const { id2label } = this.model.config;
    const found = await Promise.all(texts.map((text) => this.scores(text)));
    const ranked = found.map((scores) =>
      scores
        .map((score, i): LabelScore => ({ label: id2label[i], score }))
        .sort((a, b) => b.score - a.score)
        .slice(0, top_k ?? undefined),
    );
    // As in transformers.js: of several texts with one label each, a flat list.
    if (top_k === 1) return ranked.flat();
    return typeof input === "string" ? ranked[0] : ranked;
  }

  private async scores(text: string): Promise<number[]> {
    const model: PipelineModels["text-classification"] = this.model;
    const { config } = model;
    // A row of its own: no padding, and no need of a token for it.
    const { logits } = await model({
      input_ids: [this.tokenizer.encode(text)],
      use_cache: false,
    });
    const values = logits.data as Float32Array;
    if (config.problem_type === "regression") return [...values];
    const math = await model.math;
    if (config.problem_type === "multi_label_classification" || values.length === 1)
      return Array.from(values, (value) => sigmoid(math, value));
    return softmax(math, values);
  }
}
