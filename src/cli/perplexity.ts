// tramontane perplexity: how well a model foresees a text file.
import { Command, Option } from "commander";
import { type PerplexityOptions, perplexity } from "../generation/perplexity.ts";
import { count } from "./options.ts";
import { overText, type TextFlags, withText } from "./over_text.ts";

type Flags = TextFlags & Pick<PerplexityOptions, "stride" | "convention">;

export function perplexityCommand(): Command {
  return withText(new Command("perplexity").description("tell how well a model foresees a text"), "window")
    .option("--stride <n>", "tokens from one window's first to the next's (default: half of --context)", count)
    .addOption(
      new Option("--convention <name>", "whose way of counting: windows moved by a stride, or llama.cpp's chunks")
        .choices(["huggingface", "llama.cpp"])
        .default("huggingface"),
    )
    .action(run);
}

function run({ stride, convention, ...flags }: Flags): Promise<void> {
  const { context } = flags;
  return overText(
    flags,
    ({ model, tokenizer, text, signal, progress }) =>
      perplexity(model, tokenizer, text, {
        context,
        stride,
        convention,
        signal,
        progress_callback: (info) => progress(info, info.perplexity.toFixed(4)),
      }),
    ({ perplexity: found, nll, tokens }) => `perplexity ${found.toFixed(4)}, nll ${nll.toFixed(4)}, ${tokens} tokens\n`,
    "scored tokens",
  );
}
