// What sessions and streams ask of a model and its cache: no more than a model can tell that is somewhere else, and answers later.
import type { Awaitable } from "../callbacks.ts";
import type { GenerationConfig } from "../config/generation_config.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import type { GenerateOutput } from "./generate_output.ts";

/** What answers prompts. */
export interface GeneratingModel {
  /** `generate`, with all that there is to say of the answer, whatever was asked for. */
  generated(inputs: GenerateInputs): Promise<GenerateOutput>;
}

/** What a session needs of its cache. */
export interface ChatCache {
  /** Tokens seen so far: up to date once a call that was given the cache has ended, however it did. */
  get_seq_length(): number;
  /** Whether `crop` can be asked for a length. */
  croppable(length: number): Awaitable<boolean>;
  /** Forgets all but the first `length` tokens, before the next call. */
  crop(length: number): void;
  /** Gives the memory back, at the end of a call that is extending it. */
  dispose(): void;
}

/** What a session needs of its model. */
export interface ChatModel extends GeneratingModel {
  /** Models are known by it. */
  generate(inputs: GenerateInputs): Promise<unknown>;
  readonly generation_config: GenerationConfig;
  create_cache(rows: number): Awaitable<ChatCache>;
  /** Tokens that a prompt of so many and what follows it may have together, at most; perhaps less than the prompt has. */
  most_tokens(prompt: number): Awaitable<number>;
  /**
   * Whether what a cache holds was computed with the adapters of a call.
   * @throws InputError when the call names one that is not loaded
   */
  cache_suits(cache: ChatCache, options: GenerateInputs): Awaitable<boolean>;
}
