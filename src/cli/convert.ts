// tramontane convert SOURCE OUT: a Hugging Face folder of another layout, or with fewer heads of keys and values.
import process from "node:process";
import { Command } from "commander";
import { convert } from "../folders/convert.ts";
import { interruptible, say, write } from "./io.ts";
import { localModel } from "./local_model.ts";
import { count } from "./options.ts";
import { bytes, drawBar, eraseLine } from "./report.ts";

export function convertCommand(): Command {
  return new Command("convert")
    .description(
      "make a Hugging Face folder of a checkpoint: of Mistral's own layout, of a GGUF of plain floats, of fused experts; or with fewer heads of keys and values",
    )
    .argument("<source>", "a folder, or a .gguf file, with weights in F32, F16 or BF16; or owner/name of a hub")
    .argument("<out>", "the new folder; nothing must be there")
    .option("--kv-heads <n>", "heads of keys and values: each becomes the mean of those of its group", count)
    .option("--max-shard-size <size>", "of one file, such as 5GB (default) or 200MiB")
    .option("--json", "print one JSON object")
    .option("--quiet", "print nothing")
    .action(run);
}

async function run(
  given: string,
  out: string,
  { kvHeads, maxShardSize, json, quiet }: { kvHeads?: number; maxShardSize?: string; json?: boolean; quiet?: boolean },
): Promise<void> {
  const source = await localModel(given, quiet);
  const shown = !quiet && process.stderr.isTTY;
  await interruptible(async (signal) => {
    const converted = await convert(source, out, {
      num_key_value_heads: kvHeads,
      max_shard_size: maxShardSize,
      signal,
      progress_callback: ({ loaded, total }) => {
        if (shown) drawBar("writing", loaded / total, `${bytes(loaded)} of ${bytes(total)}`);
      },
    }).finally(() => {
      if (shown) eraseLine();
    });
    if (json) return write(`${JSON.stringify(converted)}\n`);
    if (quiet) return;
    for (const change of converted.changes) say(change);
    say(`${out}: ${converted.files.length} files, ${bytes(converted.bytes)} of weights`);
  });
}
