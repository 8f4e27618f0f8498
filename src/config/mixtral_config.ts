// MixtralConfig: the fields of a Mixtral's config.json, named and defaulted as in Hugging Face's MixtralConfig.
import { type ConfigFamily, type ConfigSource, PreTrainedConfig } from "./pretrained_config.ts";
import * as rule from "./rules.ts";

const family: ConfigFamily = {
  model_type: "mixtral",
  fields: {
    num_experts_per_tok: [rule.integer(1, 4096), 2],
    num_local_experts: [rule.integer(1, 4096), 8],
    output_router_logits: [rule.flag, false],
    router_aux_loss_coef: [rule.number(0, Infinity), 0.001],
    router_jitter_noise: [rule.number(0, 1), 0],
  },
  aliases: { num_experts: "num_local_experts" },
  rope_theta: 1e6,
};

/**
 * A Mixtral's shape and settings.
 * @example new MixtralConfig({ hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2 }).resolved_head_dim // 16
 * Source: transformers 5, configuration_mixtral.py.
 */
export class MixtralConfig extends PreTrainedConfig {
  override readonly model_type = "mixtral";
  declare num_experts_per_tok: number;
  declare num_local_experts: number;
  declare output_router_logits: boolean;
  declare router_aux_loss_coef: number;
  declare router_jitter_noise: number;

  /**
   * @param values - any of the fields; the others take transformers' defaults
   * @param source - where the values stand, for messages
   * @throws ConfigError when a field has a wrong type, is out of range, or is at odds with another
   */
  constructor(values: Readonly<Record<string, unknown>> = {}, source: ConfigSource = {}) {
    super(family, values, source);
  }

  /** A config from the parsed contents of a config.json (of either generation). @throws ConfigError */
  static from_dict(values: Readonly<Record<string, unknown>>, where?: string): MixtralConfig {
    return new MixtralConfig(values, { where });
  }

  override validate(): void {
    super.validate();
    const { num_experts_per_tok: picked, num_local_experts: experts } = this;
    if (picked > experts)
      throw this.error("num_experts_per_tok", `at most ${this.nameOf("num_local_experts")} ${experts}`, picked);
  }

  /** Another name of `num_local_experts`. */
  get num_experts(): number {
    return this.num_local_experts;
  }
  set num_experts(value: number) {
    this.num_local_experts = value;
  }
}
