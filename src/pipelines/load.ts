// pipeline(task, …): loads a model of the class that a task takes, and its tokenizer, from the same files.
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository, type Repository } from "../checkpoint/repository.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { InputError } from "../errors.ts";
import { MixtralForCausalLM } from "../generation/causal_lm.ts";
import { MixtralForSequenceClassification, MixtralForTokenClassification } from "../model/classification.ts";
import { MixtralModel } from "../model/mixtral.ts";
import type { LoadOptions } from "../model/options.ts";
import { MixtralForQuestionAnswering } from "../model/question_answering.ts";
import { currentPlatform } from "../platform/index.ts";
import { loadTokenizer } from "../text/load_tokenizer.ts";
import { FeatureExtractionPipeline } from "./feature_extraction.ts";
import { QuestionAnsweringPipeline } from "./question_answering.ts";
import { TextClassificationPipeline } from "./text_classification.ts";
import { TextGenerationPipeline } from "./text_generation.ts";
import { TokenClassificationPipeline } from "./token_classification.ts";

/** By task, the pipeline and the class of its model. */
const tasks = {
  "text-generation": [TextGenerationPipeline, MixtralForCausalLM],
  "text-classification": [TextClassificationPipeline, MixtralForSequenceClassification],
  "token-classification": [TokenClassificationPipeline, MixtralForTokenClassification],
  "question-answering": [QuestionAnsweringPipeline, MixtralForQuestionAnswering],
  "feature-extraction": [FeatureExtractionPipeline, MixtralModel],
} as const;

export type PipelineTask = keyof typeof tasks;
export type PipelineOf<Task extends PipelineTask> = InstanceType<(typeof tasks)[Task][0]>;

/**
 * Loads a model and its tokenizer for a task.
 * @throws {@link InputError} for an unknown task; what the loaders throw
 * @example
 * const generator = await pipeline("text-generation", "models/demo");
 * const [{ generated_text }] = await generator("Mustard tastes", { max_new_tokens: 20 });
 */
export async function pipeline<Task extends PipelineTask>(
  task: Task,
  path: string,
  options: LoadOptions = {},
): Promise<PipelineOf<Task>> {
  if (!Object.hasOwn(tasks, task))
    throw new InputError(
      `pipeline: expected the task ${Object.keys(tasks)
        .map((name) => `"${name}"`)
        .join(", ")}, found ${JSON.stringify(task)}`,
    );
  options.signal?.throwIfAborted();
  return loadPipeline(task, await openRepository(await currentPlatform(), path), options);
}

/** Model and tokenizer from the same files, each of which is read once. */
export async function loadPipeline<Task extends PipelineTask>(
  task: Task,
  repository: Repository,
  options: LoadOptions,
): Promise<PipelineOf<Task>> {
  const checkpoint = await openCheckpoint(repository, { config: options.config as MixtralConfig | undefined });
  try {
    const gguf = checkpoint.kind === "gguf" ? checkpoint.metadata : undefined;
    // First what takes a moment, and may fail.
    const tokenizer = await loadTokenizer(repository, {}, gguf);
    const [Pipeline, Model] = tasks[task] as unknown as [
      new (...parts: unknown[]) => PipelineOf<Task>,
      typeof MixtralModel,
    ];
    return new Pipeline(await Model.from_checkpoint(checkpoint, options), tokenizer);
  } finally {
    await checkpoint.close();
  }
}
