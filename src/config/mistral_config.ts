// MistralConfig: the fields of a dense Mistral's config.json, named and defaulted as in Hugging Face's MistralConfig.
import { type ConfigFamily, type ConfigSource, commonFields, PreTrainedConfig } from "./pretrained_config.ts";

const family: ConfigFamily = {
  model_type: "mistral",
  fields: {
    rms_norm_eps: [commonFields.rms_norm_eps[0], 1e-6],
    sliding_window: [commonFields.sliding_window[0], 4096],
  },
  aliases: {},
  rope_theta: 1e4,
};

/**
 * The shape and settings of a Mistral: a Mixtral with one feed-forward block in place of the experts, and no router.
 * @example new MistralConfig().sliding_window // 4096
 * Source: transformers 5, configuration_mistral.py.
 */
export class MistralConfig extends PreTrainedConfig {
  override readonly model_type = "mistral";

  /**
   * @param values - any of the fields; the others take transformers' defaults
   * @param source - where the values stand, for messages
   * @throws ConfigError when a field has a wrong type, is out of range, or is at odds with another
   */
  constructor(values: Readonly<Record<string, unknown>> = {}, source: ConfigSource = {}) {
    super(family, values, source);
  }

  /** A config from the parsed contents of a config.json. @throws ConfigError */
  static from_dict(values: Readonly<Record<string, unknown>>, where?: string): MistralConfig {
    return new MistralConfig(values, { where });
  }
}
