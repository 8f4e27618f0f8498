// tramontane merge -m BASE --lora ADAPTER… OUT: writes a checkpoint with adapters in its weights.
import { Command, InvalidArgumentError, Option } from "commander";
import { merge } from "../adapters/merge.ts";
import { show } from "../config/show.ts";
import { interruptible, say, write } from "./io.ts";
import { type LoraFlag, loraOption } from "./lora.ts";
import { progressBar } from "./report.ts";

interface MergeFlags {
  readonly model: string;
  readonly lora: readonly LoraFlag[];
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly maxShardBytes?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function mergeCommand(): Command {
  return new Command("merge")
    .description("write a checkpoint with LoRA adapters merged into its weights")
    .argument("<out>", "the folder to make; where the base is a .gguf file, the .gguf file")
    .requiredOption("-m, --model <path>", "the base, in full precision: a Hugging Face folder or a .gguf file")
    .addOption(loraOption().makeOptionMandatory())
    .addOption(
      new Option("--dtype <type>", "the floats to write (default: the base's)").choices(["f32", "f16", "bf16"]),
    )
    .option("--max-shard-bytes <n>", "bytes of one safetensors file at most (default: 5 GB)", bytesOf)
    .option("--json", "print one JSON object")
    .option("--quiet", "print nothing but the result")
    .action(run);
}

function bytesOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0)
    throw new InvalidArgumentError(`expected a whole number above 0, found ${show(text)}`);
  return value;
}

async function run(out: string, flags: MergeFlags): Promise<void> {
  await interruptible(async (signal) => {
    await merge(flags.model, flags.lora, out, {
      dtype: flags.dtype,
      max_shard_bytes: flags.maxShardBytes,
      progress_callback: progressBar(flags.quiet, "merging"),
      signal,
    });
    if (flags.json) return write(`${JSON.stringify({ out })}\n`);
    if (!flags.quiet) say(`${out}: written`);
  });
}
