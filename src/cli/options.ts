// The options that commands share, and how they become those of the library.
import { type Command, InvalidArgumentError, Option } from "commander";
import { show } from "../config/show.ts";
import type { Purpose } from "../hub/choose.ts";
import type { LoadOptions } from "../model/options.ts";
import { type Device, devices } from "../offload/device.ts";
import { dtypes, typeOfDtype } from "../weights/dtype.ts";
import { modelOrDemo } from "./demo.ts";
import { fromEnvironment } from "./environment.ts";
import { localModel } from "./local_model.ts";
import { type LoraFlag, loraOption } from "./lora.ts";

export interface ModelFlags {
  model: string;
  threads?: number;
  context?: number;
  device?: Device;
  dtype?: string;
  kvDtype?: "f32" | "f16" | "q8_0";
  mmap: boolean;
  checkTensors?: boolean;
  simd?: "plain" | "relaxed";
  chunkSize?: number;
  memoryBudget?: number | "auto";
  lora?: readonly LoraFlag[];
  quiet?: boolean;
  json?: boolean;
}

/** What reads a flag's value. @throws InvalidArgumentError */
export type Parser<T> = (text: string) => T;

const number =
  (check: (n: number) => boolean, what: string): Parser<number> =>
  (text) => {
    const value = Number(text);
    if (text.trim() === "" || !check(value)) throw new InvalidArgumentError(`expected ${what}, found ${show(text)}`);
    return value;
  };

/** Reads a flag that may be given several times. */
export const several = (text: string, before: string[] = []): string[] => [...before, text];

/** Numbers of every kind that flags take. */
export const parsers = {
  count: number((n) => Number.isInteger(n) && n > 0, "a whole number above 0"),
  countOrZero: number((n) => Number.isInteger(n) && n >= 0, "a whole number"),
  share: number((n) => n >= 0 && n <= 1, "a number from 0 to 1"),
  atLeast0: number((n) => n >= 0 && n < Infinity, "a number of at least 0"),
  above0: number((n) => n > 0 && n < Infinity, "a number above 0"),
  integer: number(Number.isSafeInteger, "a whole number"),
  any: number(Number.isFinite, "a number"),
};
export const { count } = parsers;

function dtype(text: string): string {
  if (text === "auto" || typeOfDtype(text)) return text;
  throw new InvalidArgumentError(`expected one of ${dtypes.join(", ")}, found ${show(text)}`);
}

/** Adds -m, which names a model on this machine by the time that the command runs. @param purpose - what is wanted of it */
export function withModelPath(command: Command, purpose?: Purpose): Command {
  return command
    .addOption(
      fromEnvironment(
        "-m, --model <path>",
        "a Hugging Face folder or a .gguf file, by path or URL; or owner/name, owner/name:Q4_K_M of a hub (default: tramontane-demo's)",
      ),
    )
    .hook("preAction", async (_, action) => {
      const { model, quiet } = action.opts<Partial<ModelFlags>>();
      action.setOptionValue("model", await localModel(modelOrDemo(action, model, quiet), quiet, purpose));
    });
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** Bytes, with K, M, G or T for powers of a thousand; a share with a percent sign; or `auto`. */
function memoryBudget(text: string): number | "auto" {
  if (text === "auto") return text;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*(%|[KMGT]?)B?$/i.exec(text) ?? [];
  const value = unit === "%" ? Number(digits) / 100 : Math.floor(Number(digits) * UNITS[unit?.toUpperCase()]);
  if (!(value > 0)) throw new InvalidArgumentError(`expected bytes (8G), a share (50%) or auto, found ${show(text)}`);
  return value;
}

/** Adds what every command that loads a model has. */
export function withModel(command: Command): Command {
  return withModelPath(command)
    .addOption(fromEnvironment("-t, --threads <n>", "threads (default: as many as cores)", count))
    .addOption(
      fromEnvironment("-c, --context <n>", "tokens that a sequence can have, prompt and answer together", count),
    )
    .addOption(
      fromEnvironment(
        "--dtype <type>",
        "encode the weights while they load: q8_0, q4_k_m, … (default: as stored)",
        dtype,
      ),
    )
    .addOption(
      fromEnvironment("--kv-dtype <type>", "how the cache stores keys and values").choices(["f32", "f16", "q8_0"]),
    )
    .addOption(
      fromEnvironment("--device <name>", "what computes: cpu is the best of the others that is there").choices(devices),
    )
    .addOption(
      fromEnvironment(
        "--memory-budget <bytes>",
        "what the experts may take of memory: 8G, 512M, or 50%; the others are read when needed (default: auto)",
        memoryBudget,
      ),
    )
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

export const loadOptions = (flags: ModelFlags): LoadOptions => ({
  threads: flags.threads,
  context: flags.context,
  device: flags.device,
  dtype: flags.dtype,
  kv_dtype: flags.kvDtype,
  memory_budget: flags.memoryBudget,
  mmap: flags.mmap ? "auto" : false,
  check_tensors: flags.checkTensors,
  simd: flags.simd,
  chunk_size: flags.chunkSize,
});
