// The Auto classes: they find out what a checkpoint is. Here every checkpoint is a Mixtral.
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import type { LoadOptions } from "../model/options.ts";
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

export const AutoModelForCausalLM: {
  /** See {@link MixtralForCausalLM}. */
  from_pretrained(path: string, options?: LoadOptions): Promise<MixtralForCausalLM>;
} = {
  from_pretrained: (path, options = {}) => MixtralForCausalLM.from_pretrained(path, options),
};
