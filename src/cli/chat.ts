// tramontane chat: a conversation on the terminal. Ctrl-C stops an answer, not the program.
import process from "node:process";
import readline from "node:readline";
import { Command } from "commander";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import { ChatSession } from "../generation/session.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { Interrupted, interruptible, say, write } from "./io.ts";
import {
  generateOptions,
  loadOptions,
  type ModelFlags,
  type SamplingFlags,
  withModel,
  withSampling,
} from "./options.ts";
import { progressBar, Stopwatch } from "./report.ts";

const HELP = "/reset forgets the conversation, /exit ends it, Ctrl-C stops an answer";

export function chatCommand(): Command {
  const command = new Command("chat").description("talk with the model; the conversation is kept");
  return withSampling(withModel(command), 1024).action(run);
}

async function run(flags: ModelFlags & SamplingFlags): Promise<void> {
  const tokenizer = await AutoTokenizer.from_pretrained(flags.model);
  await using model = await interruptible((signal) =>
    AutoModelForCausalLM.from_pretrained(flags.model, {
      ...loadOptions(flags),
      progress_callback: progressBar(flags.quiet),
      signal,
    }),
  );
  const session = new ChatSession(model, tokenizer);
  const terminal = !!process.stdin.isTTY && !!process.stdout.isTTY;
  if (!flags.quiet) say(HELP);
  const lines = readline.createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    prompt: "> ",
    terminal,
  });
  let stop: (() => void) | undefined;
  const interrupt = () => {
    if (stop) stop();
    else {
      say(`\n${HELP}`);
      if (terminal) lines.prompt();
    }
  };
  lines.on("SIGINT", interrupt); // a terminal in raw mode
  process.on("SIGINT", interrupt);
  try {
    if (terminal) lines.prompt();
    for await (const line of lines) {
      const text = line.trim();
      if (text === "/exit") break;
      if (text === "/reset") {
        session.reset();
        if (!flags.quiet) say("the conversation is forgotten");
      } else if (text.startsWith("/")) say(`unknown command ${text}: ${HELP}`);
      else if (text !== "") {
        const controller = new AbortController();
        stop = () => controller.abort(new Interrupted());
        await answer(session, text, { ...generateOptions(flags), signal: controller.signal }, flags);
        stop = undefined;
      }
      if (terminal) lines.prompt();
    }
  } finally {
    process.removeListener("SIGINT", interrupt);
    lines.close();
    session.dispose();
  }
}

async function answer(session: ChatSession, text: string, options: GenerateInputs, flags: ModelFlags): Promise<void> {
  const watch = new Stopwatch();
  let whole = "";
  try {
    for await (const piece of session.send(text, { ...options, streamer: watch })) {
      whole += piece;
      if (!flags.json) await write(piece);
    }
  } catch (error) {
    // A full context or a template's refusal ends the turn, not the conversation.
    say(error instanceof Interrupted ? " (stopped)" : `tramontane: ${(error as Error).message}`);
    return;
  }
  await write(flags.json ? `${JSON.stringify({ text: whole, ...watch.figures(session.cached_tokens) })}\n` : "\n");
  if (!flags.json && !flags.quiet) say(watch.line(session.cached_tokens));
}
