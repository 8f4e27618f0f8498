// pipeline(task, …): loads a model of the class that a task takes, and its tokenizer, from the same files.
import { openCheckpoint } from "../checkpoint/open.ts";
import type { Repository } from "../checkpoint/repository.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
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
import type { PipelineModels } from "./models.ts";
import { checkTask, type PipelineOf, type PipelineTask, pipelineOf } from "./tasks.ts";

/** By task, the class of its model. */
const models: { readonly [Task in PipelineTask]: object } = {
  "text-generation": AutoModelForCausalLM,
  "text-classification": AutoModelForSequenceClassification,
  "token-classification": AutoModelForTokenClassification,
  "question-answering": AutoModelForQuestionAnswering,
  "feature-extraction": AutoModel,
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
  checkTask(task);
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
    const Model = models[task] as AutoClass<PreTrainedModel>;
    const model = await Model.from_checkpoint(checkpoint, options);
    return pipelineOf(task, model as unknown as PipelineModels[Task], tokenizer);
  } finally {
    await checkpoint.close();
  }
}
