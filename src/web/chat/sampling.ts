// The settings of sampling: null is "as the checkpoint says".
import type { GenerationOptions } from "../../index.ts";

export interface Sampling {
  readonly temperature: number | null;
  readonly top_p: number | null;
  readonly top_k: number | null;
  readonly min_p: number | null;
  readonly repetition_penalty: number | null;
  readonly seed: number | null;
  readonly max_new_tokens: number | null;
}

export const noSampling: Sampling = {
  temperature: null,
  top_p: null,
  top_k: null,
  min_p: null,
  repetition_penalty: null,
  seed: null,
  max_new_tokens: null,
};

/** Options of `generate`, without the seed. Sampling is on where one of its settings is given, unless the temperature is 0. */
export function samplingOptions({ seed, max_new_tokens, repetition_penalty, ...choice }: Sampling): GenerationOptions {
  const asked = [...Object.values(choice), seed].some((value) => value !== null);
  return {
    ...(choice.temperature === 0 ? { do_sample: false } : asked ? { do_sample: true, ...choice } : {}),
    repetition_penalty,
    max_new_tokens: max_new_tokens ?? undefined,
  };
}

export const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0];
