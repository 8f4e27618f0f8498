// The tasks that there are pipelines for, and the pipeline of each.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { FeatureExtractionPipeline } from "./feature_extraction.ts";
import type { PipelineModels } from "./models.ts";
import { QuestionAnsweringPipeline } from "./question_answering.ts";
import { TextClassificationPipeline } from "./text_classification.ts";
import { TextGenerationPipeline } from "./text_generation.ts";
import { TokenClassificationPipeline } from "./token_classification.ts";

/** The pipeline of each task. */
export interface Pipelines {
  "text-generation": TextGenerationPipeline;
  "text-classification": TextClassificationPipeline;
  "token-classification": TokenClassificationPipeline;
  "question-answering": QuestionAnsweringPipeline;
  "feature-extraction": FeatureExtractionPipeline;
}

/** A task that there is a pipeline for. */
export type PipelineTask = keyof Pipelines;
/** The pipeline of a task. */
export type PipelineOf<Task extends PipelineTask> = Pipelines[Task];

const classes: { readonly [Task in PipelineTask]: new (...parts: never[]) => Pipelines[Task] } = {
  "text-generation": TextGenerationPipeline,
  "text-classification": TextClassificationPipeline,
  "token-classification": TokenClassificationPipeline,
  "question-answering": QuestionAnsweringPipeline,
  "feature-extraction": FeatureExtractionPipeline,
};

/** @throws {@link InputError} for a task that there is no pipeline for */
export function checkTask(task: unknown): void {
  if (typeof task === "string" && Object.hasOwn(classes, task)) return;
  const names = Object.keys(classes).map((name) => `"${name}"`);
  throw new InputError(`pipeline: expected the task ${names.join(", ")}, found ${show(task)}`);
}

/** The pipeline of a task, of a model and its tokenizer. */
export function pipelineOf<Task extends PipelineTask>(
  task: Task,
  model: PipelineModels[Task],
  tokenizer: Tokenizer,
): PipelineOf<Task> {
  const Pipeline = classes[task] as unknown as new (...parts: unknown[]) => PipelineOf<Task>;
  return new Pipeline(model, tokenizer);
}
