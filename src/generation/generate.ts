// generate: which way of generating a call asks for.
import { checkSignal } from "../abort.ts";
import { functionArgument } from "../arguments.ts";
import { InputError } from "../errors.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { warnOnce } from "../platform/warn_once.ts";
import { AssistedGeneration } from "./assisted_generation.ts";
import { BeamGeneration } from "./beam_generation.ts";
import { checkExpertsCallback } from "./expert_choices.ts";
import { type GenerateInputs, generateArguments, resolveConfig } from "./generate_inputs.ts";
import type { GenerateOutput } from "./generate_output.ts";
import type { Generation } from "./generation.ts";
import { SampledGeneration } from "./sampled_generation.ts";
import { checkStreamer } from "./streamers.ts";

/** @throws {@link InputError} or ConfigError for what was passed; the signal's reason when aborted, with `partial`, where it had begun */
export async function generate(model: PreTrainedModel, given: GenerateInputs): Promise<GenerateOutput> {
  const inputs = generateArguments(given, "generate");
  checkSignal(inputs.signal);
  inputs.signal?.throwIfAborted();
  checkStreamer(inputs.streamer);
  functionArgument(inputs.progress_callback, "progress_callback");
  checkExpertsCallback(inputs.experts_callback, model.engine.shape);
  model.engine.check();
  model.engine.checkCache(inputs.past_key_values);
  const generation = generationOf(model, inputs);
  const leave = inputs.past_key_values?.acquire();
  try {
    for (const [name, text] of generation.idle_settings) await warnOnce(name, `generate: ${text}`);
    return await generation.run();
  } finally {
    leave?.();
  }
}

function generationOf(model: PreTrainedModel, inputs: GenerateInputs): Generation {
  const config = resolveConfig(model, inputs);
  const assisted = inputs.assistant_model != null || config.prompt_lookup_num_tokens !== null;
  if (assisted && config.num_beams > 1)
    throw new InputError("num_beams: expected 1 with assistant_model or prompt_lookup_num_tokens");
  if (inputs.experts_callback != null && (assisted || config.num_beams > 1))
    throw new InputError(
      "experts_callback: expected num_beams 1 and neither assistant_model nor prompt_lookup_num_tokens beside it",
    );
  if (assisted) return new AssistedGeneration(model, inputs, config);
  return config.num_beams > 1
    ? new BeamGeneration(model, inputs, config)
    : new SampledGeneration(model, inputs, config);
}
