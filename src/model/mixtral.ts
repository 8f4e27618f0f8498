// MixtralModel: the trunk, without a head.
import type { Tensor } from "../tensor.ts";
import type { ForwardInputs } from "./inputs.ts";
import { MixtralPreTrainedModel, type ModelOutput } from "./pretrained.ts";

export interface BaseModelOutput extends ModelOutput {
  /** float32 (rows, length, hidden), after the final norm. */
  last_hidden_state: Tensor;
}

export interface MixtralModel {
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
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class MixtralModel extends MixtralPreTrainedModel {
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
