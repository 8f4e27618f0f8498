// Which class of configs the parsed contents of a config.json are of: its model_type says it.
import { ConfigError } from "../errors.ts";
import { MistralConfig } from "./mistral_config.ts";
import { MixtralConfig } from "./mixtral_config.ts";
import type { PreTrainedConfig } from "./pretrained_config.ts";
import { show } from "./show.ts";

/** A class of configs. */
export type ConfigClass = (new (
  values: Readonly<Record<string, unknown>>,
  source?: { where?: string },
) => PreTrainedConfig) & {
  prototype: PreTrainedConfig;
};

const classes = { mixtral: MixtralConfig, mistral: MistralConfig } as const;

/**
 * @param where - where the values stand, for messages
 * @param otherwise - the class where model_type is absent
 * @throws {@link ConfigError} for a model of another family, or a wrong field
 */
export function readConfig(
  values: Readonly<Record<string, unknown>>,
  where: string,
  otherwise: ConfigClass = MixtralConfig,
): PreTrainedConfig {
  const model_type = values?.model_type ?? undefined;
  if (model_type === undefined) return new otherwise(values, { where });
  if (typeof model_type !== "string" || !Object.hasOwn(classes, model_type))
    throw new ConfigError(`model_type: expected "mixtral" or "mistral", found ${show(model_type)} in ${where}`);
  return new classes[model_type as keyof typeof classes](values, { where });
}
