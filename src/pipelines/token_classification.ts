// pipeline("token-classification", …): the label of each token, or of runs of tokens that belong together.
import { givenOptions } from "../arguments.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { MixtralForTokenClassification } from "../model/classification.ts";
import { softmax } from "../model/probabilities.ts";
import type { PipelineModels } from "./models.ts";
import { Pipeline, textsOf } from "./pipeline.ts";

/** A token with a label. */
export interface TokenEntity {
  entity: string;
  score: number;
  /** The token's place in the row, special tokens counted. */
  index: number;
  word: string;
}

/** Neighbouring tokens with one label. */
export interface EntityGroup {
  entity_group: string;
  /** The mean over its tokens (or words). */
  score: number;
  word: string;
}

/** How tokens are put together: see {@link TokenClassificationOptions}. */
export type AggregationStrategy = "none" | "simple" | "first" | "average" | "max";

/** What a call may be told. */
export interface TokenClassificationOptions {
  /** Labels that are left out. @default ["O"] */
  ignore_labels?: readonly string[] | undefined;
  /**
   * `none`: token by token. `simple`: neighbours of one label together; `first`, `average` and `max` give the tokens of a
   * word one label before: its first token's, that of the mean of all, or the surest one's.
   * @default "none"
   */
  aggregation_strategy?: AggregationStrategy | undefined;
}

const known = namesOf<TokenClassificationOptions>({ ignore_labels: true, aggregation_strategy: true });

export interface TokenClassificationPipeline {
  (
    text: string,
    options?: TokenClassificationOptions & { aggregation_strategy?: "none" | undefined },
  ): Promise<TokenEntity[]>;
  (
    texts: readonly string[],
    options?: TokenClassificationOptions & { aggregation_strategy?: "none" | undefined },
  ): Promise<TokenEntity[][]>;
  (text: string, options: TokenClassificationOptions): Promise<EntityGroup[]>;
  (texts: readonly string[], options: TokenClassificationOptions): Promise<EntityGroup[][]>;
}

const STRATEGIES: readonly AggregationStrategy[] = ["none", "simple", "first", "average", "max"];

/** Tokens that are judged together, with the probabilities of the labels. */
interface Piece {
  ids: number[];
  index: number;
  scores: number[];
}

/** Source: transformers.js, and of what aggregation is, transformers' token_classification.py. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class TokenClassificationPipeline extends Pipeline<MixtralForTokenClassification> {
  readonly task = "token-classification";

  /** @internal */
  async _call(input: string | readonly string[], options: TokenClassificationOptions = {}): Promise<unknown> {
    const { ignore_labels = ["O"], aggregation_strategy = "none" } = givenOptions(options, this.task, known);
    if (!Array.isArray(ignore_labels))
      throw new InputError(`ignore_labels: expected a list of labels, found ${show(ignore_labels)}`);
    const texts = textsOf(this.task, input);
    if (!STRATEGIES.includes(aggregation_strategy))
      throw new InputError(
        `aggregation_strategy: expected ${STRATEGIES.join(", ")}, found ${show(aggregation_strategy)}`,
      );
    const results = await Promise.all(
      texts.map(async (text) => {
        const pieces = await this.pieces(text);
        if (aggregation_strategy === "none")
          return this.entities(pieces).filter(({ entity }) => !ignore_labels.includes(entity));
        const judged = aggregation_strategy === "simple" ? pieces : this.words(pieces, aggregation_strategy);
        return this.groups(judged).filter(({ entity_group }) => !ignore_labels.includes(entity_group));
      }),
    );
    return typeof input === "string" ? results[0] : results;
  }

  /** Every token that has a text, with its probabilities. */
  private async pieces(text: string): Promise<Piece[]> {
    const ids = this.tokenizer.encode(text);
    const model: PipelineModels["token-classification"] = this.model;
    const { logits } = await model({ input_ids: [ids], use_cache: false });
    const math = await model.math;
    const labels = logits.dims[2];
    const values = logits.data as Float32Array;
    return ids.flatMap((id, index) =>
      this.text([id]) === ""
        ? []
        : [{ ids: [id], index, scores: softmax(math, values.subarray(index * labels, (index + 1) * labels)) }],
    );
  }

  private text(ids: readonly number[]): string {
    return this.tokenizer.decode([...ids], { skip_special_tokens: true });
  }

  private entities(pieces: readonly Piece[]): TokenEntity[] {
    return pieces.map(({ ids, index, scores }) => {
      const best = argmax(scores);
      return { entity: this.model.config.id2label[best], score: scores[best], index, word: this.text(ids) };
    });
  }

  /** Tokens of one word as one piece. A word begins with the mark of a space, or with the text. */
  private words(pieces: readonly Piece[], strategy: AggregationStrategy): Piece[] {
    const words: Piece[][] = [];
    for (const piece of pieces) {
      const token = this.tokenizer.convert_ids_to_tokens(piece.ids[0]) ?? "";
      if (words.length === 0 || token.startsWith("▁")) words.push([]);
      words[words.length - 1].push(piece);
    }
    return words.map((parts) => {
      const { index } = parts[0];
      const ids = parts.flatMap((part) => part.ids);
      if (strategy === "first") return { ids, index, scores: parts[0].scores };
      if (strategy === "max") {
        const surest = parts.reduce((a, b) => (Math.max(...b.scores) > Math.max(...a.scores) ? b : a));
        return { ids, index, scores: surest.scores };
      }
      const mean = (label: number) => parts.reduce((sum, { scores }) => sum + scores[label], 0) / parts.length;
      return { ids, index, scores: parts[0].scores.map((_, label) => mean(label)) };
    });
  }

  /** Neighbours of one label together, `B-` beginning a new one. */
  private groups(pieces: readonly Piece[]): EntityGroup[] {
    const groups: { tag: string; scores: number[]; ids: number[] }[] = [];
    for (const { ids, scores } of pieces) {
      const best = argmax(scores);
      const label = this.model.config.id2label[best];
      const begins = label.startsWith("B-");
      const tag = /^[BI]-/.test(label) ? label.slice(2) : label;
      const last = groups.at(-1);
      if (last && last.tag === tag && !begins) {
        last.scores.push(scores[best]);
        last.ids.push(...ids);
      } else groups.push({ tag, scores: [scores[best]], ids: [...ids] });
    }
    return groups.map(({ tag, scores, ids }) => ({
      entity_group: tag,
      score: scores.reduce((a, b) => a + b) / scores.length,
      word: this.text(ids),
    }));
  }
}

const argmax = (values: readonly number[]): number => values.indexOf(Math.max(...values));
