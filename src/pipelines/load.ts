// pipeline(task, …): loads a model of the class that a task takes, and its tokenizer, from the same files.
import { openCheckpoint } from "../checkpoint/open.ts";
import type { Repository } from "../checkpoint/repository.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import {
  type AutoClass,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from "../generation/auto.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { type LoadOptions, readOptions } from "../model/options.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { currentPlatform } from "../platform/index.ts";
import { loadTokenizer } from "../text/load_tokenizer.ts";
import { FeatureExtractionPipeline } from "./feature_extraction.ts";
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

/** By task, the class of the pipeline and that of its model. */
const tasks: { readonly [Task in PipelineTask]: readonly [new (...parts: never[]) => Pipelines[Task], object] } = {
  "text-generation": [TextGenerationPipeline, AutoModelForCausalLM],
  "text-classification": [TextClassificationPipeline, AutoModelForSequenceClassification],
  "token-classification": [TokenClassificationPipeline, AutoModelForTokenClassification],
  "question-answering": [QuestionAnsweringPipeline, AutoModelForQuestionAnswering],
  "feature-extraction": [FeatureExtractionPipeline, AutoModel],
};

/**
 * Loads a model and its tokenizer for a task.
 * @throws {@link InputError} for an unknown task; what the loaders throw
 * @example
 * const generator = await pipeline("text-generation", "models/demo");
 * const [{ generated_text }] = await generator("Mustard tastes", { max_new_tokens: 20 });
 */
export async function pipeline<Task extends PipelineTask>(
  task: Task,
  source: ModelSource,
  options: LoadOptions = {},
): Promise<PipelineOf<Task>> {
  if (typeof task !== "string" || !Object.hasOwn(tasks, task))
    throw new InputError(
      `pipeline: expected the task ${Object.keys(tasks)
        .map((name) => `"${name}"`)
        .join(", ")}, found ${show(task)}`,
    );
  const given = readOptions(options, "pipeline");
  return loadPipeline(task, await findRepository(await currentPlatform(), source, "model", given), given);
}

/** Model and tokenizer from the same files, each of which is read once. */
export async function loadPipeline<Task extends PipelineTask>(
  task: Task,
  repository: Repository,
  options: LoadOptions,
): Promise<PipelineOf<Task>> {
  const checkpoint = await openCheckpoint(repository, { config: options.config as PreTrainedConfig | undefined });
  try {
    const gguf = checkpoint.kind === "gguf" ? checkpoint.metadata : undefined;
    // First what takes a moment, and may fail.
    const tokenizer = await loadTokenizer(repository, {}, gguf);
    const [Pipeline, Model] = tasks[task] as unknown as [
      new (...parts: unknown[]) => PipelineOf<Task>,
      AutoClass<PreTrainedModel>,
    ];
    return new Pipeline(await Model.from_checkpoint(checkpoint, options), tokenizer);
  } finally {
    await checkpoint.close();
  }
}
