// The options that commands share, and how they become those of the library.
import { type Command, InvalidArgumentError, Option } from "commander";
import { endsByText } from "../checkpoint/gguf_special_tokens.ts";
import { show } from "../config/show.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import type { LoadOptions } from "../model/options.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { modelOrDemo } from "./demo.ts";
import { localModel } from "./local_model.ts";
import { type LoraFlag, loraOption } from "./lora.ts";

export interface ModelFlags {
  model: string;
  threads?: number;
  context?: number;
  kvDtype?: "f32" | "f16" | "q8_0";
  mmap: boolean;
  checkTensors?: boolean;
  simd?: "plain" | "relaxed";
  chunkSize?: number;
  lora?: readonly LoraFlag[];
  quiet?: boolean;
  json?: boolean;
}

export interface SamplingFlags {
  maxNewTokens?: number;
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
export const count = number((n) => Number.isInteger(n) && n > 0, "a whole number above 0");
const countOrZero = number((n) => Number.isInteger(n) && n >= 0, "a whole number");
const share = number((n) => n >= 0 && n <= 1, "a number from 0 to 1");
const positive = number((n) => n >= 0 && n < Infinity, "a number of at least 0");
const integer = number(Number.isSafeInteger, "a whole number");

/** Adds what every command that loads a model has. */
export function withModel(command: Command): Command {
  return command
    .option(
      "-m, --model <path>",
      "a Hugging Face folder or a .gguf file, by path or URL; or owner/name, owner/name:Q4_K_M of a hub (default: tramontane-demo's)",
    )
    .hook("preAction", async (_, action) => {
      const { model, quiet } = action.opts<Partial<ModelFlags>>();
      action.setOptionValue("model", await localModel(modelOrDemo(action, model, quiet), quiet));
    })
    .option("--threads <n>", "threads (default: as many as cores)", count)
    .option("--context <n>", "tokens that a sequence can have, prompt and answer together", count)
    .addOption(new Option("--kv-dtype <type>", "how the cache stores keys and values").choices(["f32", "f16", "q8_0"]))
    .option("--chunk-size <n>", "tokens of a prefill chunk at most", count)
    .addOption(loraOption())
    .option("--no-mmap", "read the weights instead of mapping them")
    .option("--check-tensors", "read every weight first, and refuse NaN and infinities")
    .addOption(
      new Option("--simd <build>", "the kernel build (default: the fastest that runs)").choices(["plain", "relaxed"]),
    )
    .option("--json", "print one JSON object")
    .option("--quiet", "print nothing but the result");
}

/** Adds what commands that generate have. */
export function withSampling(command: Command): Command {
  return command
    .option("-n, --max-new-tokens <n>", "tokens to generate at most (default: what the context holds)", count)
    .option("--temperature <t>", "0: always the likeliest token (default); above: sample", positive)
    .option("--top-k <k>", "sample from the k likeliest tokens (0: all)", countOrZero)
    .option("--top-p <p>", "sample from the likeliest tokens that together have this probability", share)
    .option("--min-p <p>", "leave out tokens less likely than this share of the likeliest", share)
    .option("--repetition-penalty <f>", "above 1: tokens that were there are less likely", positive)
    .option("--seed <n>", "the same seed gives the same answer", integer)
    .option("--stop <text>", "stop after this text; may be given several times", several);
}

const several = (text: string, before: string[] = []): string[] => [...before, text];

export const loadOptions = (flags: ModelFlags): LoadOptions => ({
  threads: flags.threads,
  context: flags.context,
  kv_dtype: flags.kvDtype,
  mmap: flags.mmap ? "auto" : false,
  check_tensors: flags.checkTensors,
  simd: flags.simd,
  chunk_size: flags.chunkSize,
});

/**
 * Sampling is on where one of its options is given, unless the temperature is 0.
 * @param prompt - tokens of the prompt
 */
export function generateOptions(flags: SamplingFlags, model: PreTrainedModel, prompt: number): GenerateInputs {
  const { temperature, topK, topP, minP, seed } = flags;
  const sampling = [temperature, topK, topP, minP, seed].some((value) => value !== undefined) && temperature !== 0;
  return {
    max_new_tokens: flags.maxNewTokens ?? restOfContext(model, prompt),
    do_sample: sampling,
    ...(sampling ? { temperature, top_k: topK, top_p: topP, min_p: minP, seed } : {}),
    repetition_penalty: flags.repetitionPenalty,
    stop_strings: flags.stop,
  };
}

/** New tokens that a prompt leaves room for, in positions and in memory; at least 1, so that it is said what there is none for. */
function restOfContext({ context, config, engine }: PreTrainedModel, prompt: number): number {
  // A window never fills up: then as many as the model was trained for.
  let most = config.sliding_window ? Math.min(context, prompt + config.max_position_embeddings) : context;
  const fits = (tokens: number) => engine.pages(tokens).needed <= engine.pages(tokens).all;
  if (!fits(most)) {
    let least = prompt;
    while (most - least > 1) {
      const middle = (least + most) >> 1;
      if (fits(middle)) least = middle;
      else most = middle;
    }
    most = least;
  }
  return Math.max(1, most - prompt);
}

/**
 * What ends a turn: beside the model's ends, the tokenizer's end of sequence and what ends turns in the formats of chats,
 * by its text, as in llama.cpp. Fine-tunes change the template and leave generation_config.json as it was.
 */
export function turnEnds({ config, generation_config }: PreTrainedModel, tokenizer: Tokenizer): number[] {
  const ends = [generation_config.eos_token_id ?? config.eos_token_id ?? []].flat();
  const idOf = (text: string): number | undefined => {
    const id = tokenizer.convert_tokens_to_ids(text);
    return id !== undefined && tokenizer.convert_ids_to_tokens(id) === text ? id : undefined;
  };
  return [...new Set([...ends, ...endsByText(idOf, tokenizer.eos_token_id)])];
}
