// tramontane generate PROMPT: streams one answer.
import { type Command as Caller, Command } from "commander";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import { mostTokens } from "../generation/room.ts";
import { ChatSession, type TurnEnd } from "../generation/session.ts";
import type { FinishReason } from "../generation/stopping.ts";
import { streamText } from "../generation/stream.ts";
import { turnEnds } from "../generation/turn_ends.ts";
import { interruptible, say, write } from "./io.ts";
import { type Loaded, load } from "./load.ts";
import { type ModelFlags, withModel } from "./options.ts";
import { reportProfile } from "./profile.ts";
import { type PromptFlags, readPrompt, sessionOptions, withPrompt } from "./prompt.ts";
import { ReadingLine, Stopwatch } from "./report.ts";
import { describeSampling, generateOptions, randomSeed, type SamplingFlags, withSampling } from "./sampling.ts";

interface Flags extends ModelFlags, SamplingFlags, PromptFlags {
  chat?: boolean;
  displayPrompt: boolean;
  profile?: boolean;
  profileFile?: string;
}

export function generateCommand(): Command {
  const command = new Command("generate")
    .description("generate text after a prompt")
    .argument("[prompt]", "the text to go on from; - or nothing reads it from standard input")
    .option("--chat", "take the prompt as a message, and answer it by the model's chat template; so does --system");
  return withSampling(withPrompt(withModel(command), "the prompt"))
    .option("--no-display-prompt", "begin with what is new")
    .option("--profile", "tell where the time went")
    .option("--profile-file <path>", "the same, and write a trace for a browser's performance panel")
    .action(run);
}

async function run(argument: string | undefined, flags: Flags, command: Caller): Promise<void> {
  const prompt = await readPrompt(argument, flags, command);
  const talks = flags.chat || flags.system !== undefined || flags.chatTemplate !== undefined;
  const chat = talks ? await sessionOptions(flags) : undefined;
  const profile = flags.profileFile ?? flags.profile;
  await interruptible(async (signal) => {
    const loaded = await load(flags, signal, { profile: profile !== undefined });
    const { model } = loaded;
    await using _ = model;
    const watch = new Stopwatch();
    const options = { ...generateOptions(flags, randomSeed()), streamer: watch, signal };
    const session = chat && new ChatSession(model, loaded.tokenizer, chat);
    const reading = new ReadingLine(flags.quiet);
    const inputs = { ...options, progress_callback: reading.tell };
    let ended: TurnEnd | undefined;
    const pieces = session
      ? session.send(prompt, { ...inputs, eos_token_id: turnEnds(model, loaded.tokenizer) })
      : continued(loaded, prompt, inputs, (reason) => {
          ended = reason;
        });
    let answer = "";
    const shown = !session && flags.displayPrompt && !flags.json ? prompt : "";
    try {
      for await (const piece of pieces) {
        // Not before it is known to be answered.
        if (!flags.json) await write(answer === "" ? shown + piece : piece);
        answer += piece;
      }
      if (answer === "" && shown !== "") await write(shown);
    } finally {
      reading.end();
      session?.dispose();
      if (!flags.json && watch.generated > 0) await write("\n");
    }
    const finish_reason = session?.finish_reason ?? ended;
    const figures = { ...watch.figures(), finish_reason, seed: options.seed };
    if (flags.json) await write(`${JSON.stringify({ text: answer, ...figures, info: model.info() })}\n`);
    else if (!flags.quiet) say(`${watch.line()}; ${describeSampling(options, model)}`);
    if (profile !== undefined) await reportProfile(model.profile!, profile, model.info().experts);
  });
}

/** What comes after a text: no more than there is room for. */
function continued(
  { model, tokenizer }: Loaded,
  prompt: string,
  options: GenerateInputs,
  end: (reason: FinishReason) => void,
): AsyncGenerator<string> {
  const inputs = tokenizer(prompt);
  const length = inputs.input_ids.dims[1];
  const room = Math.max(1, mostTokens(model, length) - length); // 1, so that it is said what there is none for
  const max_new_tokens = Math.min(options.max_new_tokens ?? room, room);
  return streamText(model, { ...inputs, ...options, max_new_tokens, tokenizer }, tokenizer, end);
}
