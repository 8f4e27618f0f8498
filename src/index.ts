// The public API: re-exports only.
export { type MergeAdapter, type MergeOptions, merge } from "./adapters/merge.ts";
export { Callable } from "./callable.ts";
export type { GGUFNumbers, GGUFScalarType, GGUFValue } from "./checkpoint/gguf_types.ts";
export { BitsAndBytesConfig, type BitsAndBytesOptions, type FloatName } from "./config/bitsandbytes_config.ts";
export { GenerationConfig, type GenerationOptions, type ResolvedGenerationConfig } from "./config/generation_config.ts";
export { MistralConfig } from "./config/mistral_config.ts";
export { MixtralConfig } from "./config/mixtral_config.ts";
export { type ConfigSource, PreTrainedConfig } from "./config/pretrained_config.ts";
export type { RopeParameters, RopeType } from "./config/rope_parameters.ts";
export {
  AbortError,
  CheckpointError,
  ConfigError,
  EngineError,
  HubError,
  InputError,
  MemoryError,
  TokenizerError,
  TramontaneError,
  WriteError,
} from "./errors.ts";
export { type Converted, type ConvertOptions, type ConvertProgress, convert } from "./folders/convert.ts";
export type { CallParser } from "./generation/answer_text.ts";
export {
  type AutoClass,
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from "./generation/auto.ts";
export { CausalLM, type ForwardOutput, MistralForCausalLM, MixtralForCausalLM } from "./generation/causal_lm.ts";
export type { GivenMessage, Message } from "./generation/conversation.ts";
export type { ExpertChoices } from "./generation/expert_choices.ts";
export type { GenerateInputs } from "./generation/generate_inputs.ts";
export type { GenerateOutput, GenerationTimings } from "./generation/generate_output.ts";
export type { LogProb, LogProbs } from "./generation/log_probs.ts";
export {
  type Perplexity,
  type PerplexityOptions,
  type PerplexityProgress,
  type PerplexityTokenizer,
  perplexity,
} from "./generation/perplexity.ts";
export {
  type CustomLogitsProcessor,
  LogitsProcessor,
  type LogitsProcessorFunction,
  LogitsProcessorList,
  type LogitsProcessors,
  type PrefixFunction,
} from "./generation/processors.ts";
export type { PromptProgress } from "./generation/prompt_progress.ts";
export {
  ChatSession,
  type ChatSessionOptions,
  type ChatTokenizer,
  type TurnEnd,
} from "./generation/session.ts";
export {
  type CustomStoppingCriteria,
  EosTokenCriteria,
  type FinishReason,
  type InputIds,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  type StepScores,
  StoppingCriteria,
  StoppingCriteriaList,
  type StoppingFunction,
  StopStringCriteria,
  type TokenBytes,
} from "./generation/stopping.ts";
export { BaseStreamer, TextStreamer, type TextStreamerOptions } from "./generation/streamers.ts";
export type { TextTokenizer } from "./generation/text_output.ts";
export type { ChatTool, ToolCallContext } from "./generation/tools.ts";
export { type DownloadOptions, download } from "./hub/download.ts";
export type { ModelSource } from "./hub/find.ts";
export { type CachedModel, type CacheOptions, models } from "./hub/models.ts";
export type { PickedFile, PickedFolder } from "./hub/picked.ts";
export type { DownloadProgress } from "./hub/progress.ts";
export { env, type HubEnvironment, type HubOptions } from "./hub/settings.ts";
export type { SnapshotOptions } from "./hub/snapshot.ts";
export type { KvFormat } from "./memory/kv_pool.ts";
export type { AdapterInfo, LoadAdapterOptions } from "./model/adapters.ts";
export { BaseModel, type BaseModelOutput, MistralModel, MixtralModel } from "./model/base_model.ts";
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
export type { LoadOptions, ProgressInfo } from "./model/options.ts";
export { type ModelOutput, PreTrainedModel, type RandomOptions } from "./model/pretrained.ts";
export type { Profile, ProfileRow, StepKind } from "./model/profile.ts";
export {
  MixtralForQuestionAnswering,
  type QuestionAnsweringInputs,
  type QuestionAnsweringOutput,
} from "./model/question_answering.ts";
export type { Device } from "./offload/device.ts";
export type { ExpertsInfo } from "./paging/readers.ts";
export type { PagingCounts } from "./paging/table.ts";
export {
  type FeatureExtractionOptions,
  FeatureExtractionPipeline,
  type Pooling,
} from "./pipelines/feature_extraction.ts";
export { pipeline } from "./pipelines/load.ts";
export { Pipeline } from "./pipelines/pipeline.ts";
export {
  type FoundAnswer,
  type QuestionAnsweringOptions,
  QuestionAnsweringPipeline,
} from "./pipelines/question_answering.ts";
export type { PipelineOf, Pipelines, PipelineTask } from "./pipelines/tasks.ts";
export {
  type LabelScore,
  type LabelScores,
  type TextClassificationOptions,
  TextClassificationPipeline,
} from "./pipelines/text_classification.ts";
export {
  type Answers,
  type Chat,
  type GeneratedText,
  type TextGenerationOptions,
  TextGenerationPipeline,
} from "./pipelines/text_generation.ts";
export {
  type AggregationStrategy,
  type EntityGroup,
  type TokenClassificationOptions,
  TokenClassificationPipeline,
  type TokenEntity,
} from "./pipelines/token_classification.ts";
export { type AssetLocations, configure } from "./platform/assets.ts";
export {
  type ImatrixOptions,
  type ImatrixProgress,
  type ImatrixResult,
  type ImatrixTokenizer,
  imatrix,
} from "./quantize/collect.ts";
export type { QuantizeOptions, QuantizeProgress } from "./quantize/options.ts";
export { type QuantizeResult, quantize } from "./quantize/quantize.ts";
export type { ImatrixForm } from "./quantize/sums.ts";
export { type NestedArray, Tensor, type TensorData, type TensorType, type TokenIds, type TokenRow } from "./tensor.ts";
export type { TensorSlice } from "./tensor_operations.ts";
export type { ChatMessage, ChatOptions } from "./text/chat_template.ts";
export type { EncodeMessagesOptions } from "./text/encode_messages.ts";
export type {
  ApplyChatTemplateOptions,
  BatchEncoding,
  DecodeOptions,
  DecodeStream,
  DecodeStreamOptions,
  EncodeOptions,
  EncodeTextOptions,
} from "./text/encoding.ts";
export { AutoTokenizer, type TokenizerOptions } from "./text/load_tokenizer.ts";
export type { Padding, Truncation } from "./text/padding.ts";
export type { ChatTemplates, Side } from "./text/special_tokens.ts";
export { Tokenizer, Tokenizer as PreTrainedTokenizer } from "./text/tokenizer.ts";
export { type ParsedAnswer, type ParseToolCallsOptions, parse_tool_calls, type ToolCall } from "./text/tool_calls.ts";
