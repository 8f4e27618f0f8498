// MixtralModel and MistralModel: the trunk, without a head.
import { MistralConfig } from "../config/mistral_config.ts";
import type { MixtralConfig } from "../config/mixtral_config.ts";
import type { Tensor } from "../tensor.ts";
import type { KeyValueCache } from "./cache.ts";
import type { ForwardInputs } from "./inputs.ts";
import { type ModelOutput, PreTrainedModel } from "./pretrained.ts";

/** What the forward pass of a model without a head gives back. */
export interface BaseModelOutput extends ModelOutput {
  /** float32 (rows, length, hidden), after the final norm. */
  last_hidden_state: Tensor;
}

/** A model without a head. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export abstract class BaseModel extends PreTrainedModel {
  /** @internal */
  protected async compute(inputs: ForwardInputs): Promise<BaseModelOutput> {
    const all = inputs.output_hidden_states ?? this.config.output_hidden_states;
    const { hidden_states, aux_loss, ...results } = await this.run(inputs, () => ({
      kept: null,
      size: 0,
      hidden_states: all || "last",
    }));
    return { last_hidden_state: hidden_states!.at(-1)!, ...results, ...(all ? { hidden_states } : {}) };
  }
}
export interface BaseModel {
  /** The forward pass, with the cache that was asked for. */
  (inputs: ForwardInputs & { use_cache: true }): Promise<BaseModelOutput & { past_key_values: KeyValueCache }>;
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: ForwardInputs): Promise<BaseModelOutput>;
  /** The same. */
  forward(inputs: ForwardInputs): Promise<BaseModelOutput>;
}

/**
 * Mixtral without a head: hidden states.
 * @example
 * const model = await MixtralModel.from_pretrained("models/demo");
 * const { last_hidden_state } = await model({ input_ids: [1, 20, 300] });
 */
export class MixtralModel extends BaseModel {
  declare readonly config: MixtralConfig;
}

/** Mistral without a head. */
export class MistralModel extends BaseModel {
  /** @internal */
  static override readonly config_class = MistralConfig;
  declare readonly config: MistralConfig;
}
