// The options that commands share, and how they become those of the library.
import { type Command, InvalidArgumentError, Option } from "commander";
import { show } from "../config/show.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import type { LoadOptions } from "../model/options.ts";

export interface ModelFlags {
  model: string;
  threads?: number;
  context?: number;
  kvDtype?: "f32" | "f16" | "q8_0";
  mmap: boolean;
  checkTensors?: boolean;
  simd?: "plain" | "relaxed";
  chunkSize?: number;
  quiet?: boolean;
  json?: boolean;
}

export interface SamplingFlags {
  maxNewTokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed?: number;
  stop?: string[];
}

const number = (check: (n: number) => boolean, what: string) => (text: string) => {
  const value = Number(text);
  if (text.trim() === "" || !check(value)) throw new InvalidArgumentError(`expected ${what}, found ${show(text)}`);
  return value;
};
const count = number((n) => Number.isInteger(n) && n > 0, "a whole number above 0");
const countOrZero = number((n) => Number.isInteger(n) && n >= 0, "a whole number");
const share = number((n) => n >= 0 && n <= 1, "a number from 0 to 1");
const positive = number((n) => n >= 0 && n < Infinity, "a number of at least 0");
const integer = number(Number.isSafeInteger, "a whole number");

/** Adds what every command that loads a model has. */
export function withModel(command: Command): Command {
  return command
    .requiredOption("-m, --model <path>", "a checkpoint: a Hugging Face folder or a .gguf file")
    .option("--threads <n>", "threads (default: as many as cores)", count)
    .option("--context <n>", "positions of the cache where the model has no window", count)
    .addOption(new Option("--kv-dtype <type>", "how the cache stores keys and values").choices(["f32", "f16", "q8_0"]))
    .option("--chunk-size <n>", "tokens of a prefill chunk at most", count)
    .option("--no-mmap", "read the weights instead of mapping them")
    .option("--check-tensors", "read every weight first, and refuse NaN and infinities")
    .addOption(
      new Option("--simd <build>", "the kernel build (default: the fastest that runs)").choices(["plain", "relaxed"]),
    )
    .option("--json", "print one JSON object")
    .option("--quiet", "print nothing but the result");
}

/** Adds what commands that generate have. */
export function withSampling(command: Command, maxNewTokens: number): Command {
  return command
    .option("-n, --max-new-tokens <n>", "tokens to generate at most", count, maxNewTokens)
    .option("--temperature <t>", "0: always the likeliest token (default); above: sample", positive)
    .option("--top-k <k>", "sample from the k likeliest tokens (0: all)", countOrZero)
    .option("--top-p <p>", "sample from the likeliest tokens that together have this probability", share)
    .option("--min-p <p>", "leave out tokens less likely than this share of the likeliest", share)
    .option("--repetition-penalty <f>", "above 1: tokens that were there are less likely", positive)
    .option("--seed <n>", "the same seed gives the same answer", integer)
    .option("--stop <text...>", "stop after one of these texts");
}

export const loadOptions = (flags: ModelFlags): LoadOptions => ({
  threads: flags.threads,
  context: flags.context,
  kv_dtype: flags.kvDtype,
  mmap: flags.mmap ? "auto" : false,
  check_tensors: flags.checkTensors,
  simd: flags.simd,
  chunk_size: flags.chunkSize,
});

/** Sampling is on where one of its options is given, unless the temperature is 0. */
export function generateOptions(flags: SamplingFlags): GenerateInputs {
  const { temperature, topK, topP, minP, seed } = flags;
  const sampling = [temperature, topK, topP, minP, seed].some((value) => value !== undefined) && temperature !== 0;
  return {
    max_new_tokens: flags.maxNewTokens,
    do_sample: sampling,
    ...(sampling ? { temperature, top_k: topK, top_p: topP, min_p: minP, seed } : {}),
    repetition_penalty: flags.repetitionPenalty,
    stop_strings: flags.stop,
  };
}
