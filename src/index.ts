// The public API: re-exports only.
export { GenerationConfig, type GenerationOptions } from "./config/generation_config.ts";
export { MixtralConfig } from "./config/mixtral_config.ts";
export {
  CheckpointError,
  ConfigError,
  EngineError,
  InputError,
  MemoryError,
  TokenizerError,
  TramontaneError,
  WriteError,
} from "./errors.ts";
export {
  type AutoClass,
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from "./generation/auto.ts";
export { type ForwardOutput, MixtralForCausalLM } from "./generation/causal_lm.ts";
export type { GenerateOutput } from "./generation/generate.ts";
export type { GenerateInputs } from "./generation/generate_inputs.ts";
export {
  type GeneratedText,
  pipeline,
  type TextGenerationOptions,
  TextGenerationPipeline,
} from "./generation/pipelines.ts";
export { type CustomLogitsProcessor, LogitsProcessorList } from "./generation/processors.ts";
export { ChatSession, type Message } from "./generation/session.ts";
export {
  EosTokenCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  StoppingCriteria,
  StoppingCriteriaList,
  StopStringCriteria,
} from "./generation/stopping.ts";
export { BaseStreamer, TextStreamer, type TextStreamerOptions } from "./generation/streamers.ts";
export { KeyValueCache } from "./model/cache.ts";
export {
  type ClassifierOutput,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  type SequenceClassificationInputs,
  type TokenClassificationInputs,
} from "./model/classification.ts";
export type { ModelInfo } from "./model/engine.ts";
export type { CausalLMInputs, ForwardInputs } from "./model/inputs.ts";
export { type BaseModelOutput, MixtralModel } from "./model/mixtral.ts";
export type { LoadOptions, ProgressInfo } from "./model/options.ts";
export {
  MixtralForQuestionAnswering,
  type QuestionAnsweringInputs,
  type QuestionAnsweringOutput,
} from "./model/question_answering.ts";
export { type AssetLocations, configure } from "./platform/assets.ts";
export { Tensor, type TokenIds } from "./tensor.ts";
export { AutoTokenizer } from "./text/load_tokenizer.ts";
export { Tokenizer } from "./text/tokenizer.ts";
