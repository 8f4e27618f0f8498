// tramontane generate PROMPT: streams one answer.
import { Command } from "commander";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import { mostTokens } from "../generation/room.ts";
import { ChatSession } from "../generation/session.ts";
import { readText } from "../text/lines.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { interruptible, readInput, say, write } from "./io.ts";
import { loadAdapters } from "./lora.ts";
import {
  generateOptions,
  loadOptions,
  type ModelFlags,
  type SamplingFlags,
  turnEnds,
  withModel,
  withSampling,
} from "./options.ts";
import { reportProfile } from "./profile.ts";
import { progressBar, Stopwatch } from "./report.ts";

export function generateCommand(): Command {
  const command = new Command("generate")
    .description("generate text after a prompt")
    .argument("<prompt>", "the text to go on from; - reads it from standard input")
    .option("--chat", "take the prompt as a message, and answer it by the model's chat template")
    .option(
      "--profile [file]",
      "tell where the time went; with a file, write a trace for a browser's performance panel",
    );
  return withSampling(withModel(command)).action(run);
}

async function run(
  prompt: string,
  flags: ModelFlags & SamplingFlags & { chat?: boolean; profile?: string | true },
): Promise<void> {
  const text = prompt === "-" ? await readPrompt() : prompt;
  await interruptible(async (signal) => {
    const tokenizer = await AutoTokenizer.from_pretrained(flags.model);
    await using model = await AutoModelForCausalLM.from_pretrained(flags.model, {
      ...loadOptions(flags),
      profile: flags.profile !== undefined,
      progress_callback: progressBar(flags.quiet),
      signal,
    });
    await loadAdapters(model, flags, signal);
    const watch = new Stopwatch();
    const options = { ...generateOptions(flags), streamer: watch, signal };
    const session = flags.chat ? new ChatSession(model, tokenizer) : undefined;
    const inputs = tokenizer(text);
    const prompt_tokens = inputs.input_ids.dims[1];
    const room = Math.max(1, mostTokens(model, prompt_tokens) - prompt_tokens); // 1, so that it is said what there is none for
    const pieces = session
      ? session.send(text, { ...options, eos_token_id: turnEnds(model, tokenizer) })
      : model.stream({ ...inputs, ...options, max_new_tokens: Math.min(flags.maxNewTokens ?? room, room), tokenizer });
    let answer = "";
    if (!session && !flags.json) await write(text);
    try {
      for await (const piece of pieces) {
        answer += piece;
        if (!flags.json) await write(piece);
      }
    } finally {
      session?.dispose();
      if (!flags.json) await write("\n");
    }
    if (flags.json) await write(`${JSON.stringify({ text: answer, ...watch.figures(), info: model.info() })}\n`);
    else if (!flags.quiet) say(watch.line());
    if (flags.profile !== undefined) await reportProfile(model.profile!, flags.profile);
  });
}

/** Standard input as text: line ends of any system are one kind, and the last one is no part of the prompt. */
const readPrompt = async (): Promise<string> => readText(await readInput()).replace(/\n$/, "");
