// tramontane imatrix: an importance matrix of a model over a text file, for quantize --imatrix.
import { stat } from "node:fs/promises";
import { Command, Option } from "commander";
import { fileName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type ImatrixOptions, imatrix } from "../quantize/collect.ts";
import { say } from "./io.ts";
import { count } from "./options.ts";
import { overText, type TextFlags, withText } from "./over_text.ts";
import { bytes } from "./report.ts";

interface Flags extends TextFlags {
  output: string;
  chunks?: number;
  processOutput?: boolean;
  parseSpecial?: boolean;
  outputFormat?: ImatrixOptions["output_format"];
  force?: boolean;
}

export function imatrixCommand(): Command {
  const command = new Command("imatrix").description(
    "make an importance matrix for quantize: how large the inputs of each weight are over a text",
  );
  return withText(command, "chunk")
    .requiredOption("-o, --output <path>", "the file to be written")
    .option("--chunks <n>", "read no more than so many chunks of the text", count)
    .option("--process-output", "an entry for output.weight, too")
    .option("--parse-special", "text that spells a special token is that token")
    .addOption(
      new Option("--output-format <form>", "GGUF, or llama.cpp's older form").choices(["gguf", "dat"]).default("gguf"),
    )
    .option("--force", "replace a file of that name")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const { file, output, context, chunks, processOutput, parseSpecial, outputFormat, force, quiet } = flags;
  if (!force && (await stat(output).catch(() => undefined)))
    throw new InputError(`${output}: it is there already: give another name, or --force`);
  await overText(
    flags,
    ({ model, tokenizer, text, signal, progress }) =>
      imatrix(model, tokenizer, text, output, {
        context,
        chunks,
        process_output: processOutput,
        parse_special: parseSpecial,
        output_format: outputFormat,
        dataset: file === "-" ? undefined : fileName(file),
        overwrite: force,
        signal,
        progress_callback: progress,
      }),
    (result) => {
      for (const warning of result.warnings) if (!quiet) say(`warning: ${warning}`);
      return `${result.file}: ${bytes(result.bytes)}, ${result.entries} entries of ${result.chunks} chunks, ${result.tokens} tokens\n`;
    },
    "tokens",
  );
}
