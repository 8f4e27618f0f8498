// tramontane chat: a conversation on the terminal. Ctrl-C stops an answer, not the program.
import process from "node:process";
import readline from "node:readline";
import { Command } from "commander";
import { nearest } from "../config/nearest.ts";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import { ChatSession } from "../generation/session.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { Interrupted, interruptible, say, write } from "./io.ts";
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
import { progressBar, Stopwatch } from "./report.ts";

const HELP = "/reset forgets the conversation, /exit ends it, Ctrl-C stops an answer";
const COMMANDS = ["/reset", "/exit", "/help"];

/**
 * What a line is: a command where its first word is a slash and letters, so that a path is not taken for one; else a
 * message, from which a second slash at the beginning is taken away.
 */
function parseLine(line: string): { command?: string; message: string } {
  const text = line.trim();
  const command = /^\/\p{L}+(?=\s|$)/u.exec(text)?.[0];
  return { command, message: text.startsWith("//") ? text.slice(1) : text };
}

export function chatCommand(): Command {
  const command = new Command("chat").description("talk with the model; the conversation is kept");
  return withSampling(withModel(command)).action(run);
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
  await interruptible((signal) => loadAdapters(model, flags, signal));
  const session = new ChatSession(model, tokenizer);
  const terminal = !!process.stdin.isTTY && !!process.stdout.isTTY;
  if (!flags.quiet) say(HELP);
  const lines = readline.createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    prompt: "> ",
    terminal,
    crlfDelay: Number.POSITIVE_INFINITY, // however late the \n of a \r\n comes
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
      const { command, message } = parseLine(line);
      if (command === "/exit") break;
      if (command === "/reset") {
        session.reset();
        if (!flags.quiet) say("the conversation is forgotten");
      } else if (command === "/help") say(HELP);
      else if (command) say(`unknown command ${command}: did you mean ${nearest(command, COMMANDS)}? ${HELP}`);
      else if (message !== "") {
        const controller = new AbortController();
        const { signal } = controller;
        stop = () => controller.abort(new Interrupted());
        const options = { ...generateOptions(flags), eos_token_id: turnEnds(model, tokenizer), signal };
        await answer(session, message, options, flags);
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
