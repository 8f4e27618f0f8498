// Settings of a call that change nothing, because another is as it is: each is told once, as transformers does it.
import { GenerationConfig, type ResolvedGenerationConfig } from "../config/generation_config.ts";
import type { GenerateInputs } from "./generate_inputs.ts";

/** Whether a setting has an effect, and what gives it one. */
type Needs = readonly [has: (config: ResolvedGenerationConfig, inputs: GenerateInputs) => boolean, remedy: string];

const sampling: Needs = [(c) => c.do_sample, "do_sample: true"];
const beams: Needs = [(c) => c.num_beams > 1, "num_beams above 1"];
const object: Needs = [(c) => c.return_dict_in_generate, "return_dict_in_generate: true"];
const lookup: Needs = [(c) => c.prompt_lookup_num_tokens !== null, "prompt_lookup_num_tokens"];
const assistant: Needs = [(_, inputs) => inputs.assistant_model != null, "assistant_model"];

const needs: Partial<Record<keyof GenerateInputs, Needs>> = {
  temperature: sampling,
  top_h: sampling,
  top_k: sampling,
  top_p: sampling,
  min_p: sampling,
  typical_p: sampling,
  epsilon_cutoff: sampling,
  eta_cutoff: sampling,
  length_penalty: beams,
  early_stopping: beams,
  output_scores: object,
  output_logits: object,
  top_logprobs: object,
  max_matching_ngram_size: lookup,
  num_assistant_tokens: assistant,
  num_assistant_tokens_schedule: [
    (c, inputs) => assistant[0](c, inputs) || lookup[0](c, inputs),
    "assistant_model or prompt_lookup_num_tokens",
  ],
};

const defaults: GenerateInputs = GenerationConfig.resolve();

/**
 * What a call has set in vain, by the name of the setting. What the model's own settings say is none of the caller's doing,
 * and a setting that is as it is by default, or a temperature of 0, which means greedy search, asks for nothing.
 * @param config - the settings that hold
 * @param new_tokens - that there may be at most
 */
export function idleSettings(
  inputs: GenerateInputs,
  config: ResolvedGenerationConfig,
  new_tokens: number,
): Map<string, string> {
  const idle = new Map<string, string>();
  const given = (name: keyof GenerateInputs) =>
    inputs[name] ?? inputs.generation_config?.[name as keyof typeof inputs.generation_config];
  for (const [name, [has, remedy]] of Object.entries(needs) as [keyof GenerateInputs, Needs][]) {
    const value = given(name) ?? defaults[name] ?? null;
    const asks = value !== (defaults[name] ?? null) && !(name === "temperature" && value === 0);
    if (asks && !has(config, inputs)) idle.set(name, `${name} has no effect without ${remedy}`);
  }
  if (given("max_length") !== undefined && config.max_new_tokens !== null)
    idle.set("max_length", "max_length has no effect beside max_new_tokens, which is counted without the prompt");
  const least = given("min_new_tokens") as number | null | undefined;
  if (least != null && least > new_tokens)
    idle.set("min_new_tokens", `min_new_tokens: ${least} are more than there may be: ${new_tokens}, by max_new_tokens`);
  return idle;
}
