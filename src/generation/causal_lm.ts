// MixtralForCausalLM and MistralForCausalLM: language models, which generate.
import { MistralConfig } from "../config/mistral_config.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { KeyValueCache } from "../model/cache.ts";
import { checkLabels } from "../model/forward_output.ts";
import { type CausalLMInputs, keptColumns } from "../model/inputs.ts";
import { type ModelOutput, PreTrainedModel } from "../model/pretrained.ts";
import { type Tensor, type TokenIds, toRows } from "../tensor.ts";
import { generate } from "./generate.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import type { GenerateOutput } from "./generate_output.ts";
import { mostTokens } from "./room.ts";
import { streamText, streamTokens } from "./stream.ts";
import type { TextTokenizer } from "./text_output.ts";
import { transitionScores } from "./transition_scores.ts";

/** What a language model's forward pass gives back. */
export interface ForwardOutput extends ModelOutput {
  /** float32 (rows, kept positions, vocab) */
  logits: Tensor;
  /**
   * Mean cross entropy over the labels that count, each against the position before it; plus `router_aux_loss_coef` times
   * `aux_loss` where router logits are asked for.
   */
  loss?: number;
  /** How unevenly the routers use the experts; `num_experts_per_tok` is even. Where router logits are asked for. */
  aux_loss?: number;
}

export interface CausalLM {
  /** The forward pass, with the cache that was asked for. */
  (inputs: CausalLMInputs & { use_cache: true }): Promise<ForwardOutput & { past_key_values: KeyValueCache }>;
  /** The forward pass. @throws {@link InputError} naming the argument that is wrong */
  (inputs: CausalLMInputs): Promise<ForwardOutput>;
  /** The same. */
  forward(inputs: CausalLMInputs): Promise<ForwardOutput>;
}

/** A model with a language-model head. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export abstract class CausalLM extends PreTrainedModel {
  /** @internal */
  static override readonly head = "lm_head";
  /** @internal */
  protected override readonly own_arguments = ["labels", "logits_to_keep"];

  /** @internal */
  protected async compute(inputs: CausalLMInputs): Promise<ForwardOutput> {
    const { vocab } = this.engine.shape;
    const labels = inputs.labels === undefined ? undefined : toRows(inputs.labels, "labels");
    const results = await this.run(
      inputs,
      (rows, length) => {
        if (labels) checkLabels(labels, rows.length, length, vocab, "a token id", 1);
        const kept = keptColumns(inputs.logits_to_keep, length);
        return { kept: rows.map(() => kept), size: vocab, labels };
      },
      this.config.use_cache && labels === undefined,
    );
    const { loss, aux_loss } = results;
    const { config } = this;
    if (loss !== undefined && aux_loss !== undefined && config instanceof MixtralConfig)
      results.loss = loss + config.router_aux_loss_coef * aux_loss;
    return results as ForwardOutput;
  }

  /**
   * Generates until every row is finished.
   * @returns int32 (rows, length), prompt included; with `return_dict_in_generate` an object with what was asked for
   * @throws InputError or ConfigError for what was passed; the signal's reason when aborted: what was generated
   *   so far is its `partial`
   */
  generate(inputs: GenerateInputs & { return_dict_in_generate: true }): Promise<GenerateOutput>;
  generate(inputs: GenerateInputs): Promise<Tensor>;
  async generate(inputs: GenerateInputs): Promise<Tensor | GenerateOutput> {
    const output = await this.generated(inputs);
    return (inputs?.return_dict_in_generate ?? inputs?.generation_config?.return_dict_in_generate ?? false)
      ? output
      : output.sequences;
  }

  /** @internal */
  generated(inputs: GenerateInputs): Promise<GenerateOutput> {
    return generate(this, inputs);
  }

  /** @internal */
  most_tokens(prompt: number): number {
    return mostTokens(this, prompt);
  }

  /** @internal */
  cache_suits(cache: KeyValueCache, options: GenerateInputs): boolean {
    return cache.suits(this.engine.adapters.choose(options, cache.rows.length));
  }

  /** @internal */
  rows_at_once(tokens: number): number {
    return this.engine.sequencesAtOnce(tokens);
  }

  /**
   * The log-probabilities of the tokens that were chosen, by the scores that `generate` gave back.
   * @param sequences - (rows, length), as `generate` gave them
   * @param scores - of each step float32 (rows or beams, vocab)
   * @param beam_indices - of beam search, which has log-probabilities as its scores
   * @param normalize_logits - takes the scores' log softmax first, which greedy search and sampling need
   * @returns float32 (rows, new tokens), 0 behind a beam's end
   * @throws InputError when they do not go together
   */
  compute_transition_scores(
    sequences: TokenIds,
    scores: readonly Tensor[],
    beam_indices?: TokenIds | null,
    normalize_logits = false,
  ): Tensor {
    return transitionScores(this.math, toRows(sequences, "sequences"), scores, beam_indices, normalize_logits);
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
    if (inputs?.tokenizer) yield* streamText(this, inputs, inputs.tokenizer);
    else yield* streamTokens(this, inputs);
  }
}

/**
 * Mixtral with its language-model head.
 * @example
 * const model = await MixtralForCausalLM.from_pretrained("models/demo");
 * const ids = await model.generate({ input_ids: [1, 20, 300], max_new_tokens: 40 });
 */
export class MixtralForCausalLM extends CausalLM {
  declare readonly config: MixtralConfig;
}

/**
 * Mistral, which has no experts, with its language-model head.
 * @example
 * const shape = { vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 };
 * const model = await MistralForCausalLM.from_config(shape);
 * (await model.generate({ input_ids: [[5, 6, 7]], max_new_tokens: 2, eos_token_id: null })).dims // [1, 5]
 */
export class MistralForCausalLM extends CausalLM {
  /** @internal */
  static override readonly config_class = MistralConfig;
  declare readonly config: MistralConfig;
}
