// The library as the engine's worker has it from the start: all but the tools that write models, which few pages use, and
// which come when they are called (tools.ts).
export {
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from "../generation/auto.ts";
export { MistralForCausalLM, MixtralForCausalLM } from "../generation/causal_lm.ts";
export { perplexity } from "../generation/perplexity.ts";
export {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
} from "../generation/stopping.ts";
export { download } from "../hub/download.ts";
export { models } from "../hub/models.ts";
export type * from "../index.ts";
export { MistralModel, MixtralModel } from "../model/base_model.ts";
export { KeyValueCache } from "../model/cache.ts";
export { MixtralForSequenceClassification, MixtralForTokenClassification } from "../model/classification.ts";
export { PreTrainedModel } from "../model/pretrained.ts";
export { MixtralForQuestionAnswering } from "../model/question_answering.ts";
export { pipeline } from "../pipelines/load.ts";
export { AutoTokenizer } from "../text/load_tokenizer.ts";
