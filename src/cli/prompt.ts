// The prompt of a command that generates: its argument, --prompt, a file's text, or standard input.
import process from "node:process";
import type { Command } from "commander";
import type { ChatSessionOptions } from "../generation/session.ts";
import { readPromptFile } from "./text_file.ts";

export interface PromptFlags {
  prompt?: string;
  file?: string;
  system?: string;
  chatTemplate?: string;
}

/** Adds the flags, of which --system and --chat-template are for conversations. @param what - what the prompt is */
export function withPrompt(command: Command, what: string): Command {
  return command
    .option("-p, --prompt <text>", what)
    .option("-f, --file <path>", `${what}, from a file; - is standard input`)
    .option("--system <text>", "what the model is told before the conversation")
    .option("--chat-template <path>", "a file with a chat template, in the place of the model's");
}

/**
 * The prompt, from the one place that it is given at; undefined where that is none.
 * @param argument - `-` is standard input
 */
export async function givenPrompt(
  argument: string | undefined,
  { prompt, file }: PromptFlags,
  command: Command,
): Promise<string | undefined> {
  const given = Object.entries({ argument, "--prompt": prompt, "--file": file }).filter(
    ([, text]) => text !== undefined,
  );
  if (given.length > 1)
    command.error(`error: the prompt is given twice: by ${given.map(([how]) => how).join(" and ")}`);
  const path = argument === "-" ? argument : file;
  return path === undefined ? (argument ?? prompt) : readPromptFile(path);
}

/** The same, with standard input where it is none, unless that is a terminal or empty: then wrong usage. */
export async function readPrompt(argument: string | undefined, flags: PromptFlags, command: Command): Promise<string> {
  const given = await givenPrompt(argument, flags, command);
  if (given !== undefined) return given;
  const input = process.stdin.isTTY ? "" : await readPromptFile("-");
  if (input === "")
    command.error("error: missing prompt: give it as an argument, by --prompt, --file, or on standard input");
  return input;
}

/** What of the flags is a session's. */
export const sessionOptions = async ({ system, chatTemplate }: PromptFlags): Promise<ChatSessionOptions> => ({
  system,
  chat_template: chatTemplate === undefined ? undefined : await readPromptFile(chatTemplate),
});
