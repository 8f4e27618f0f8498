// The Auto classes: they find out what a checkpoint is. Here every checkpoint is a Mixtral.
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import { MixtralForSequenceClassification, MixtralForTokenClassification } from "../model/classification.ts";
import { MixtralModel } from "../model/mixtral.ts";
import type { LoadOptions } from "../model/options.ts";
import { MixtralForQuestionAnswering } from "../model/question_answering.ts";
import { currentPlatform } from "../platform/index.ts";
import { MixtralForCausalLM } from "./causal_lm.ts";

export const AutoConfig: {
  /** The config of a checkpoint: a folder or a .gguf file. @throws CheckpointError or ConfigError */
  from_pretrained(path: string): Promise<MixtralConfig>;
} = {
  async from_pretrained(path) {
    const checkpoint = await openCheckpoint(await openRepository(await currentPlatform(), path));
    await checkpoint.close();
    return checkpoint.config;
  },
};

/** Makes models of the class that suits a checkpoint or a config. */
export interface AutoClass<Model> {
  /** As the class's own. @throws CheckpointError where the checkpoint has not the head, and what the class throws */
  from_pretrained(path: string, options?: LoadOptions): Promise<Model>;
  /** As the class's own. */
  from_config(
    config: MixtralConfig | Readonly<Record<string, unknown>>,
    options?: LoadOptions & { seed?: number | bigint },
  ): Promise<Model>;
}

/** See {@link MixtralModel}. */
export const AutoModel: AutoClass<MixtralModel> = {
  from_pretrained: (path, options = {}) => MixtralModel.from_pretrained(path, options),
  from_config: (config, options = {}) => MixtralModel.from_config(config, options),
};

/** See {@link MixtralForCausalLM}. */
export const AutoModelForCausalLM: AutoClass<MixtralForCausalLM> = {
  from_pretrained: (path, options = {}) => MixtralForCausalLM.from_pretrained(path, options),
  from_config: (config, options = {}) => MixtralForCausalLM.from_config(config, options),
};

/** See {@link MixtralForSequenceClassification}. */
export const AutoModelForSequenceClassification: AutoClass<MixtralForSequenceClassification> = {
  from_pretrained: (path, options = {}) => MixtralForSequenceClassification.from_pretrained(path, options),
  from_config: (config, options = {}) => MixtralForSequenceClassification.from_config(config, options),
};

/** See {@link MixtralForTokenClassification}. */
export const AutoModelForTokenClassification: AutoClass<MixtralForTokenClassification> = {
  from_pretrained: (path, options = {}) => MixtralForTokenClassification.from_pretrained(path, options),
  from_config: (config, options = {}) => MixtralForTokenClassification.from_config(config, options),
};

/** See {@link MixtralForQuestionAnswering}. */
export const AutoModelForQuestionAnswering: AutoClass<MixtralForQuestionAnswering> = {
  from_pretrained: (path, options = {}) => MixtralForQuestionAnswering.from_pretrained(path, options),
  from_config: (config, options = {}) => MixtralForQuestionAnswering.from_config(config, options),
};
