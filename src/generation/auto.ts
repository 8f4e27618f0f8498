// The Auto classes: they find out what a checkpoint or a config is, and make a model of the class that suits it.
import { givenOptions } from "../arguments.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint, openConfig } from "../checkpoint/open.ts";
import { PreTrainedConfig } from "../config/pretrained_config.ts";
import { readConfig } from "../config/read_config.ts";
import { CheckpointError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { type SnapshotOptions, snapshotOptions } from "../hub/snapshot.ts";
import { type BaseModel, MistralModel, MixtralModel } from "../model/base_model.ts";
import { MixtralForSequenceClassification, MixtralForTokenClassification } from "../model/classification.ts";
import { type LoadOptions, readOptions } from "../model/options.ts";
import type { PreTrainedModel, RandomOptions } from "../model/pretrained.ts";
import { MixtralForQuestionAnswering } from "../model/question_answering.ts";
import { currentPlatform } from "../platform/index.ts";
import { type CausalLM, MistralForCausalLM, MixtralForCausalLM } from "./causal_lm.ts";

/** Reads configs of either model. */
export const AutoConfig: {
  /** The config of a checkpoint: a folder, a .gguf file, a URL, or a model on a hub. @throws CheckpointError, ConfigError, HubError */
  from_pretrained(source: ModelSource, options?: SnapshotOptions): Promise<PreTrainedConfig>;
} = {
  async from_pretrained(source, options) {
    const given = givenOptions(options, "AutoConfig.from_pretrained", snapshotOptions);
    return openConfig(await findRepository(await currentPlatform(), source, "config", given));
  },
};

/** What the Auto classes use of a class of models. */
interface ModelClass<Model> {
  from_checkpoint(checkpoint: Checkpoint, options?: LoadOptions): Promise<Model>;
  from_config(config: PreTrainedConfig, options?: RandomOptions): Promise<Model>;
}

/** Makes models of the class that suits a checkpoint or a config. */
export class AutoClass<Model extends PreTrainedModel> {
  /** By model_type. */
  private readonly classes: Readonly<Record<string, ModelClass<Model>>>;

  /** @internal */
  constructor(classes: Readonly<Record<string, ModelClass<Model>>>) {
    this.classes = classes;
  }

  /** As the class's own. @throws CheckpointError where the checkpoint has not the head, and what the class throws */
  async from_pretrained(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
    const given = readOptions(options, "from_pretrained");
    const repository = await findRepository(await currentPlatform(), source, "model", given);
    const checkpoint = await openCheckpoint(repository, { config: given.config as PreTrainedConfig | undefined });
    try {
      return await this.from_checkpoint(checkpoint, given);
    } finally {
      await checkpoint.close();
    }
  }

  /** @internal The same of an open checkpoint. It stays the caller's. */
  from_checkpoint(checkpoint: Checkpoint, options: LoadOptions = {}): Promise<Model> {
    return this.classOf(checkpoint.config, checkpoint.path).from_checkpoint(checkpoint, options);
  }

  /** As the class's own. */
  async from_config(
    config: PreTrainedConfig | Readonly<Record<string, unknown>>,
    options: RandomOptions = {},
  ): Promise<Model> {
    const checked = config instanceof PreTrainedConfig ? config : readConfig(config, "the config");
    return this.classOf(checked, "the config").from_config(checked, options);
  }

  private classOf({ model_type }: PreTrainedConfig, where: string): ModelClass<Model> {
    if (Object.hasOwn(this.classes, model_type)) return this.classes[model_type];
    const known = Object.keys(this.classes).map((name) => `"${name}"`);
    throw new CheckpointError(
      `${where}: expected model_type ${known.join(" or ")}, which has a class for this task, found "${model_type}"`,
    );
  }
}

/** See {@link MixtralModel}, {@link MistralModel}. */
export const AutoModel: AutoClass<BaseModel> = new AutoClass<BaseModel>({
  mixtral: MixtralModel,
  mistral: MistralModel,
});

/** See {@link MixtralForCausalLM}, {@link MistralForCausalLM}. */
export const AutoModelForCausalLM: AutoClass<CausalLM> = new AutoClass<CausalLM>({
  mixtral: MixtralForCausalLM,
  mistral: MistralForCausalLM,
});

/** See {@link MixtralForSequenceClassification}. */
export const AutoModelForSequenceClassification: AutoClass<MixtralForSequenceClassification> =
  new AutoClass<MixtralForSequenceClassification>({
    mixtral: MixtralForSequenceClassification,
  });

/** See {@link MixtralForTokenClassification}. */
export const AutoModelForTokenClassification: AutoClass<MixtralForTokenClassification> =
  new AutoClass<MixtralForTokenClassification>({
    mixtral: MixtralForTokenClassification,
  });

/** See {@link MixtralForQuestionAnswering}. */
export const AutoModelForQuestionAnswering: AutoClass<MixtralForQuestionAnswering> =
  new AutoClass<MixtralForQuestionAnswering>({
    mixtral: MixtralForQuestionAnswering,
  });
