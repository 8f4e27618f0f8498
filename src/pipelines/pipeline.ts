// What every pipeline is: a model with its tokenizer, called on texts.
import { Callable } from "../callable.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { shownInOneLine } from "../inspected.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A model with its tokenizer, called on texts. */
export abstract class Pipeline<Model extends PreTrainedModel> extends Callable {
  /** What it is called in `pipeline`. */
  abstract readonly task: string;
  /** The model, which the pipeline ends. */
  readonly model: Model;
  /** The model's tokenizer. */
  readonly tokenizer: Tokenizer;

  constructor(model: Model, tokenizer: Tokenizer) {
    super();
    this.model = model;
    this.tokenizer = tokenizer;
  }

  /** Ends the model. */
  dispose(): Promise<void> {
    return this.model.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

shownInOneLine(
  Pipeline,
  (pipeline) => `${pipeline.constructor.name} { ${pipeline.model.constructor.name}, ${pipeline.model.info().path} }`,
);

/**
 * One text or several, as a list.
 * @throws {@link InputError} when they are something else
 */
export function textsOf(task: string, input: string | readonly string[]): readonly string[] {
  const texts = typeof input === "string" ? [input] : input;
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string"))
    throw new InputError(`${task}: expected a text or an array of texts, found ${show(input)}`);
  return texts;
}
