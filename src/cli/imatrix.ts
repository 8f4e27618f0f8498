// tramontane imatrix: an importance matrix of a model over a text file, for quantize --imatrix.
import { readFile, stat } from "node:fs/promises";
import process from "node:process";
import { Command, Option } from "commander";
import { fileName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import { type ImatrixOptions, imatrix } from "../quantize/collect.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { interruptible, readInput, say, write } from "./io.ts";
import { loadAdapters } from "./lora.ts";
import { count, loadOptions, type ModelFlags, withModel } from "./options.ts";
import { bytes, drawBar, eraseLine, progressBar } from "./report.ts";
import { readUTF8 } from "./text_file.ts";

interface Flags extends ModelFlags {
  file: string;
  output: string;
  chunks?: number;
  processOutput?: boolean;
  parseSpecial?: boolean;
  outputFormat?: ImatrixOptions["output_format"];
  force?: boolean;
}

export function imatrixCommand(): Command {
  const command = withModel(
    new Command("imatrix")
      .description("make an importance matrix for quantize: how large the inputs of each weight are over a text")
      .requiredOption("-f, --file <path>", "the text, in UTF-8; - reads standard input")
      .requiredOption("-o, --output <path>", "the file to be written")
      .option("--chunks <n>", "read no more than so many chunks of the text", count)
      .option("--process-output", "an entry for output.weight, too")
      .option("--parse-special", "text that spells a special token is that token")
      .addOption(
        new Option("--output-format <form>", "GGUF, or llama.cpp's older form")
          .choices(["gguf", "dat"])
          .default("gguf"),
      )
      .option("--force", "replace a file of that name"),
  );
  const context = command.options.find(({ long }) => long === "--context")!;
  context.description = "tokens of a chunk (default: 512, or as many as the model has positions)";
  return command.action(run);
}

async function run(flags: Flags): Promise<void> {
  const { file, output, context, chunks, processOutput, parseSpecial, outputFormat, force, quiet, json } = flags;
  // Loading a model takes a while: what is certain is said before.
  if (!force && (await stat(output).catch(() => undefined)))
    throw new InputError(`${output}: it is there already: give another name, or --force`);
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
    const result = await imatrix(model, tokenizer, text, output, {
      context,
      chunks,
      process_output: processOutput,
      parse_special: parseSpecial,
      output_format: outputFormat,
      dataset: file === "-" ? undefined : fileName(file),
      overwrite: force,
      signal,
      progress_callback: ({ loaded, total }) => {
        if (shown) drawBar("reading", loaded / total, `${loaded} of ${total} tokens`);
      },
    }).finally(() => {
      if (shown) eraseLine();
    });
    if (json) return write(`${JSON.stringify(result)}\n`);
    for (const warning of result.warnings) if (!quiet) say(`warning: ${warning}`);
    await write(
      `${result.file}: ${bytes(result.bytes)}, ${result.entries} entries of ${result.chunks} chunks, ${result.tokens} tokens\n`,
    );
    const seconds = (performance.now() - start) / 1000;
    if (!quiet) say(`${seconds.toFixed(1)} s, ${(result.tokens / seconds).toFixed(0)} tokens/s`);
  });
}
