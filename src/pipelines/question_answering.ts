// pipeline("question-answering", …): where in a text the answer to a question stands.
import { givenOptions } from "../arguments.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { softmax } from "../model/probabilities.ts";
import type { MixtralForQuestionAnswering } from "../model/question_answering.ts";
import type { PipelineModels } from "./models.ts";
import { Pipeline } from "./pipeline.ts";

/** A part of the text that answers a question. */
export interface FoundAnswer {
  answer: string;
  /** The probability of its beginning times that of its end. */
  score: number;
}

/** What a call may be told. */
export interface QuestionAnsweringOptions {
  /** How many answers, the likeliest first. @default 1 */
  top_k?: number | undefined;
  /** Tokens of an answer at most, as in transformers. @default 15 */
  max_answer_len?: number | undefined;
}

const known = namesOf<QuestionAnsweringOptions>({ top_k: true, max_answer_len: true });

export interface QuestionAnsweringPipeline {
  (
    question: string,
    context: string,
    options?: QuestionAnsweringOptions & { top_k?: 1 | undefined },
  ): Promise<FoundAnswer>;
  (question: string, context: string, options: QuestionAnsweringOptions): Promise<FoundAnswer[]>;
}

/** Source: transformers.js, and of which spans are answers, transformers' question_answering.py. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class QuestionAnsweringPipeline extends Pipeline<MixtralForQuestionAnswering> {
  readonly task = "question-answering";

  /** @internal */
  async _call(question: string, context: string, options: QuestionAnsweringOptions = {}): Promise<unknown> {
    const { top_k = 1, max_answer_len = 15 } = givenOptions(options, this.task, known);
    for (const [name, text] of Object.entries({ question, context }))
      if (typeof text !== "string")
        throw new InputError(`question-answering: expected a text as ${name}, found ${show(text)}`);
    for (const [name, count] of Object.entries({ top_k, max_answer_len }))
      if (!(Number.isInteger(count) && count > 0))
        throw new InputError(`${name}: expected a count, found ${show(count)}`);
    const { tokenizer } = this;
    const model: PipelineModels["question-answering"] = this.model;
    const ids = tokenizer.encode(question, { text_pair: context });
    // The context begins where the row differs from one without it.
    const empty = tokenizer.encode(question, { text_pair: "" });
    const differs = ids.findIndex((id, i) => id !== empty[i]);
    const first = differs < 0 ? ids.length : differs;
    const end = ids.findLastIndex((id) => !tokenizer.all_special_ids.includes(id)) + 1;
    if (end <= first)
      throw new InputError("question-answering: expected a context with an answer in it, found no tokens");
    const { start_logits, end_logits } = await model({ input_ids: [ids], use_cache: false });
    const math = await model.math;
    const [starts, ends] = [start_logits, end_logits].map((logits) =>
      softmax(math, (logits.data as Float32Array).subarray(first, end)),
    );
    const spans: { from: number; to: number; score: number }[] = [];
    for (let from = 0; from < starts.length; from++)
      for (let to = from; to < Math.min(ends.length, from + max_answer_len); to++)
        spans.push({ from, to, score: starts[from] * ends[to] });
    const answers = spans
      .sort((a, b) => b.score - a.score || a.from - b.from || a.to - b.to)
      .slice(0, top_k)
      .map(({ from, to, score }): FoundAnswer => {
        const answer = tokenizer.decode(ids.slice(first + from, first + to + 1), { skip_special_tokens: true });
        return { answer, score };
      });
    return top_k === 1 ? answers[0] : answers;
  }
}
