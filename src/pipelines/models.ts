// What pipelines ask of their models: no more than a model can tell that is somewhere else, and answers later.
import type { Awaitable } from "../callbacks.ts";
import type { GenerationConfig } from "../config/generation_config.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import type { ClassifierOutput } from "../model/classification.ts";
import type { ExactMath } from "../model/probabilities.ts";
import type { QuestionAnsweringOutput } from "../model/question_answering.ts";
import type { Tensor } from "../tensor.ts";

/** What every pipeline asks. */
export interface PipelineModel {
  info(): { readonly path: string };
  dispose(): Promise<void>;
}

/** Of a language model. */
export interface TextGenerationModel extends PipelineModel {
  readonly context: number;
  readonly generation_config: GenerationConfig;
  generate(inputs: GenerateInputs): Promise<Tensor>;
}

/** Of a model that is called with one row of tokens. */
interface CalledModel<Output, Field extends keyof MixtralConfig> extends PipelineModel {
  (inputs: { input_ids: number[][]; use_cache: false }): Promise<Output>;
  readonly config: Pick<MixtralConfig, Field>;
}

/** Of a model whose scores become probabilities. */
interface ScoringModel<Output> extends CalledModel<Output, "id2label" | "problem_type"> {
  readonly math: Awaitable<ExactMath>;
}

/** What each task asks. */
export interface PipelineModels {
  "text-generation": TextGenerationModel;
  "text-classification": ScoringModel<Pick<ClassifierOutput, "logits">>;
  "token-classification": ScoringModel<Pick<ClassifierOutput, "logits">>;
  "question-answering": ScoringModel<Pick<QuestionAnsweringOutput, "start_logits" | "end_logits">>;
  "feature-extraction": CalledModel<{ readonly last_hidden_state: Tensor }, "hidden_size">;
}
