// tramontane/web: the library on a page, or in a worker of the page's. By names and types it is the library; whatever reads
// files or computes runs in a worker of its own, and the rest, tokenizers and conversations, here.
import type * as Library from "../index.ts";
import * as page from "./page.ts";
import { RemoteCache } from "./remote_cache.ts";

export { Callable } from "../callable.ts";
export { BitsAndBytesConfig } from "../config/bitsandbytes_config.ts";
export { GenerationConfig } from "../config/generation_config.ts";
export { MistralConfig } from "../config/mistral_config.ts";
export { MixtralConfig } from "../config/mixtral_config.ts";
export { PreTrainedConfig } from "../config/pretrained_config.ts";
export * from "../errors.ts";
export { LogitsProcessor, LogitsProcessorList } from "../generation/processors.ts";
export { ChatSession } from "../generation/session.ts";
export {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  StoppingCriteria,
  StoppingCriteriaList,
  StopStringCriteria,
} from "../generation/stopping.ts";
export { BaseStreamer, TextStreamer } from "../generation/streamers.ts";
export { env } from "../hub/settings.ts";
export type * from "../index.ts";
export { FeatureExtractionPipeline } from "../pipelines/feature_extraction.ts";
export { Pipeline } from "../pipelines/pipeline.ts";
export { QuestionAnsweringPipeline } from "../pipelines/question_answering.ts";
export { TextClassificationPipeline } from "../pipelines/text_classification.ts";
export { TextGenerationPipeline } from "../pipelines/text_generation.ts";
export { TokenClassificationPipeline } from "../pipelines/token_classification.ts";
export { configure } from "../platform/assets.ts";
export { Tensor } from "../tensor.ts";
export { Tokenizer, Tokenizer as PreTrainedTokenizer } from "../text/tokenizer.ts";
export { parse_tool_calls } from "../text/tool_calls.ts";
export { request_persistence } from "./persistence.ts";

// What is another thing here than there has its types all the same: whoever uses it sees no difference.

const remote = page.remoteClasses;
const as = <T>(value: unknown): T => value as T;

export const PreTrainedModel = as<typeof Library.PreTrainedModel>(page.RemoteModel);
export type PreTrainedModel = Library.PreTrainedModel;
export const BaseModel = as<typeof Library.BaseModel>(page.RemoteBaseModel);
export type BaseModel = Library.BaseModel;
export const CausalLM = as<typeof Library.CausalLM>(page.RemoteCausalLM);
export type CausalLM = Library.CausalLM;
export const MixtralModel = as<typeof Library.MixtralModel>(remote.MixtralModel);
export type MixtralModel = Library.MixtralModel;
export const MistralModel = as<typeof Library.MistralModel>(remote.MistralModel);
export type MistralModel = Library.MistralModel;
export const MixtralForCausalLM = as<typeof Library.MixtralForCausalLM>(remote.MixtralForCausalLM);
export type MixtralForCausalLM = Library.MixtralForCausalLM;
export const MistralForCausalLM = as<typeof Library.MistralForCausalLM>(remote.MistralForCausalLM);
export type MistralForCausalLM = Library.MistralForCausalLM;
export const MixtralForSequenceClassification = as<typeof Library.MixtralForSequenceClassification>(
  remote.MixtralForSequenceClassification,
);
export type MixtralForSequenceClassification = Library.MixtralForSequenceClassification;
export const MixtralForTokenClassification = as<typeof Library.MixtralForTokenClassification>(
  remote.MixtralForTokenClassification,
);
export type MixtralForTokenClassification = Library.MixtralForTokenClassification;
export const MixtralForQuestionAnswering = as<typeof Library.MixtralForQuestionAnswering>(
  remote.MixtralForQuestionAnswering,
);
export type MixtralForQuestionAnswering = Library.MixtralForQuestionAnswering;
export const KeyValueCache = as<typeof Library.KeyValueCache>(RemoteCache);
export type KeyValueCache = Library.KeyValueCache;

const auto = (name: string) => as<never>(new page.AutoClass(name));
export const AutoModel: typeof Library.AutoModel = auto("AutoModel");
export const AutoModelForCausalLM: typeof Library.AutoModelForCausalLM = auto("AutoModelForCausalLM");
export const AutoModelForSequenceClassification: typeof Library.AutoModelForSequenceClassification = auto(
  "AutoModelForSequenceClassification",
);
export const AutoModelForTokenClassification: typeof Library.AutoModelForTokenClassification = auto(
  "AutoModelForTokenClassification",
);
export const AutoModelForQuestionAnswering: typeof Library.AutoModelForQuestionAnswering = auto(
  "AutoModelForQuestionAnswering",
);

export const AutoConfig = as<typeof Library.AutoConfig>(page.AutoConfig);
export const AutoTokenizer = as<typeof Library.AutoTokenizer>(page.AutoTokenizer);
export const pipeline = as<typeof Library.pipeline>(page.pipeline);
export const models = as<typeof Library.models>(page.models);
export const download = as<typeof Library.download>(page.download);
export const perplexity = as<typeof Library.perplexity>(page.perplexity);
export const imatrix = as<typeof Library.imatrix>(page.imatrix);
export const quantize = as<typeof Library.quantize>(page.quantize);
export const convert = as<typeof Library.convert>(page.convert);
export const merge = as<typeof Library.merge>(page.merge);
