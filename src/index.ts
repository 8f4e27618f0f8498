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
export { AutoConfig, AutoModelForCausalLM } from "./generation/auto.ts";
export { MixtralForCausalLM } from "./generation/causal_lm.ts";
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
export type { ModelInfo } from "./model/engine.ts";
export type { ForwardInputs } from "./model/inputs.ts";
export type { ForwardOutput } from "./model/mixtral.ts";
export type { LoadOptions, ProgressInfo } from "./model/options.ts";
export { type AssetLocations, configure } from "./platform/assets.ts";
export { Tensor, type TokenIds } from "./tensor.ts";
export { AutoTokenizer } from "./text/load_tokenizer.ts";
export { Tokenizer } from "./text/tokenizer.ts";
