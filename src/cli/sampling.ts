// How commands choose tokens: as the checkpoint says, unless flags say otherwise; and what they say of it.
import { type Command, InvalidArgumentError } from "commander";
import { GenerationConfig } from "../config/generation_config.ts";
import { show } from "../config/show.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { fromEnvironment } from "./environment.ts";
import { type Parser, parsers, several } from "./options.ts";

export interface SamplingFlags {
  maxNewTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  seed?: number;
  stop?: string[];
}

/** How a flag is written, what it says, what reads its value. */
type Flag = readonly [flags: string, description: string, parse: Parser<number>];

/** -1 is llama.cpp's way to leave the length to the context. */
const newTokens: Parser<number> = (text) => (text === "-1" ? Infinity : parsers.count(text));

const numbers: readonly Flag[] = [
  ["-n, --max-new-tokens <n>", "tokens to generate at most (default, and -1: what the context holds)", newTokens],
  [
    "--temp, --temperature <t>",
    "0: the likeliest token always; above: sample (default: as the checkpoint says, else 0)",
    parsers.atLeast0,
  ],
  ["--top-k <k>", "sample, from the k likeliest tokens (0: all)", parsers.countOrZero],
  ["--top-p <p>", "sample, from the likeliest tokens that together have this probability", parsers.share],
  ["--min-p <p>", "sample, without tokens less likely than this share of the likeliest", parsers.share],
  ["--repeat-penalty, --repetition-penalty <f>", "above 1: tokens that were there are less likely", parsers.above0],
  ["--frequency-penalty <x>", "what each time that a token was generated takes from its score", parsers.any],
  ["--presence-penalty <x>", "what is taken from the score of tokens that were generated", parsers.any],
  ["-s, --seed <n>", "sample, the same each time by the same seed (default: a seed that is told)", parsers.integer],
];

/** Adds what commands that generate have. */
export function withSampling(command: Command): Command {
  for (const flag of numbers) command.addOption(fromEnvironment(...flag));
  return command.option("--stop <text>", "stop after this text; may be given several times", stops);
}

const stops = (text: string, before?: string[]): string[] => {
  if (text === "") throw new InvalidArgumentError(`expected a text, found ${show(text)}`);
  return several(text, before);
};

export const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0];

/**
 * Sampling is on where one of its flags is given, unless the temperature is 0; else as the checkpoint has it.
 * @param drawn - the seed where no flag tells one
 */
export function generateOptions(flags: SamplingFlags, drawn: number): GenerateInputs {
  const { temperature, topK, topP, minP, seed = drawn, maxNewTokens = Infinity } = flags;
  const asked = [temperature, topK, topP, minP, flags.seed].some((value) => value !== undefined);
  const sampled = { do_sample: true, temperature, top_k: topK, top_p: topP, min_p: minP };
  return {
    ...(temperature === 0 ? { do_sample: false } : asked ? sampled : {}),
    seed,
    max_new_tokens: maxNewTokens === Infinity ? undefined : maxNewTokens,
    repetition_penalty: flags.repetitionPenalty,
    frequency_penalty: flags.frequencyPenalty,
    presence_penalty: flags.presencePenalty,
    stop_strings: flags.stop,
  };
}

/** The settings that choose among tokens, of which those are named that are not as where nobody sets them. */
const named = ["temperature", "top_k", "top_p", "min_p", "typical_p", "top_h", "epsilon_cutoff", "eta_cutoff"] as const;

/** How tokens are chosen, in words: `greedy`, or `sampled (temperature 0.7, top_k 50), seed 5`. */
export function describeSampling(options: GenerateInputs, { generation_config }: PreTrainedModel): string {
  const nobodys = GenerationConfig.resolve();
  const setting = <K extends keyof typeof nobodys>(name: K) =>
    options[name] ?? generation_config[name] ?? nobodys[name];
  if (!setting("do_sample")) return "greedy";
  const told = named.filter((name) => ["temperature", "top_k"].includes(name) || setting(name) !== nobodys[name]);
  return `sampled (${told.map((name) => `${name} ${setting(name)}`).join(", ")}), seed ${options.seed}`;
}
