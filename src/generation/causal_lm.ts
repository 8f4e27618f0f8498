// MixtralForCausalLM: a loaded Mixtral that generates.
import { MixtralPreTrainedModel } from "../model/mixtral.ts";
import type { Tensor } from "../tensor.ts";
import { type GenerateOutput, generate } from "./generate.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import { streamText, streamTokens } from "./stream.ts";
import type { TextTokenizer } from "./text_output.ts";

/**
 * Mixtral with its language-model head.
 * @example
 * const model = await MixtralForCausalLM.from_pretrained("models/demo");
 * const ids = await model.generate({ input_ids: [1, 20, 300], max_new_tokens: 40 });
 */
export class MixtralForCausalLM extends MixtralPreTrainedModel {
  static override readonly head = "lm_head";

  /**
   * Generates until every row is finished.
   * @returns int32 (rows, length), prompt included; with `return_dict_in_generate` an object with what was asked for
   * @throws InputError or ConfigError for what was passed; the signal's reason when aborted: what was generated
   *   so far is its `partial`
   */
  generate(inputs: GenerateInputs & { return_dict_in_generate: true }): Promise<GenerateOutput>;
  generate(inputs: GenerateInputs): Promise<Tensor>;
  async generate(inputs: GenerateInputs): Promise<Tensor | GenerateOutput> {
    const output = await generate(this, inputs);
    return (inputs.return_dict_in_generate ?? inputs.generation_config?.return_dict_in_generate ?? false)
      ? output
      : output.sequences;
  }

  /**
   * Generates one row as an async iterable, without the prompt: pieces of text where a tokenizer is given (special tokens
   * skipped), else token ids. The pieces joined go on from the prompt's text: the space before the first word is theirs.
   * Leaving the loop early ends the generation.
   */
  stream<T extends GenerateInputs>(
    inputs: T,
  ): AsyncGenerator<T extends { tokenizer: TextTokenizer } ? string : number, void, void>;
  async *stream(inputs: GenerateInputs): AsyncGenerator<string | number, void, void> {
    if (inputs.tokenizer) yield* streamText(this, inputs, inputs.tokenizer);
    else yield* streamTokens(this, inputs);
  }
}
