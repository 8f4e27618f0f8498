// tramontane perplexity: how well a model foresees a text file.
import { readFile } from "node:fs/promises";
import process from "node:process";
import { Command, Option } from "commander";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import { type PerplexityOptions, perplexity } from "../generation/perplexity.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { interruptible, readInput, say, write } from "./io.ts";
import { loadAdapters } from "./lora.ts";
import { count, loadOptions, type ModelFlags, withModel } from "./options.ts";
import { drawBar, eraseLine, progressBar } from "./report.ts";
import { readUTF8 } from "./text_file.ts";

type Flags = ModelFlags & Pick<PerplexityOptions, "stride" | "convention"> & { file: string };

export function perplexityCommand(): Command {
  const command = withModel(
    new Command("perplexity")
      .description("tell how well a model foresees a text")
      .requiredOption("-f, --file <path>", "the text, as it stands there, in UTF-8; - reads standard input")
      .option("--stride <n>", "tokens from one window's first to the next's (default: half of --context)", count)
      .addOption(
        new Option("--convention <name>", "whose way of counting: windows moved by a stride, or llama.cpp's chunks")
          .choices(["huggingface", "llama.cpp"])
          .default("huggingface"),
      ),
  );
  // Of the model's own positions no more are needed.
  const context = command.options.find(({ long }) => long === "--context")!;
  context.description = "tokens of a window (default: 512, or as many as the model has positions)";
  return command.action(run);
}

async function run({ file, stride, convention, ...flags }: Flags): Promise<void> {
  const { context, quiet, json } = flags;
  const text = readUTF8(file === "-" ? await readInput() : await readFile(file), file);
  await interruptible(async (signal) => {
    const tokenizer = await AutoTokenizer.from_pretrained(flags.model);
    await using model = await AutoModelForCausalLM.from_pretrained(flags.model, {
      ...loadOptions(flags),
      progress_callback: progressBar(quiet),
      signal,
    });
    await loadAdapters(model, flags, signal);
    const start = performance.now();
    const shown = !quiet && process.stderr.isTTY;
    const found = await perplexity(model, tokenizer, text, {
      context,
      stride,
      convention,
      signal,
      progress_callback: ({ loaded, total, perplexity: so_far }) => {
        if (shown) drawBar("reading", loaded / total, `${loaded} of ${total} tokens, ${so_far.toFixed(4)}`);
      },
    }).finally(() => {
      if (shown) eraseLine();
    });
    const { tokens, nll } = found;
    if (json) return write(`${JSON.stringify(found)}\n`);
    await write(`perplexity ${found.perplexity.toFixed(4)}, nll ${nll.toFixed(4)}, ${tokens} tokens\n`);
    const seconds = (performance.now() - start) / 1000;
    if (!quiet) say(`${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(0)} scored tokens/s`);
  });
}
