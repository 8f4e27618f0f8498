// What a flag or a command that is not known was probably meant to be.
import type { Command } from "commander";
import { nearest } from "../config/nearest.ts";

/** What llama.cpp and others call a flag of ours. */
const others: Readonly<Record<string, string>> = {
  "--antiprompt": "--stop",
  "--batch-size": "--chunk-size",
  "--cache-type-k": "--kv-dtype",
  "--cache-type-v": "--kv-dtype",
  "--conversation": "--chat",
  "--ctx-size": "--context",
  "--hf-repo": "--model",
  "--length": "--max-new-tokens",
  "--max-tokens": "--max-new-tokens",
  "--n-predict": "--max-new-tokens",
  "--num-ctx": "--context",
  "--predict": "--max-new-tokens",
  "--reverse-prompt": "--stop",
  "--sys": "--system",
  "--system-prompt": "--system",
  "--ubatch-size": "--chunk-size",
};

/** Half of what is meant has to be there. */
const alike = (a: string, b: string): boolean => {
  const pairs = (text: string) => new Set(Array.from(text.slice(0, -1), (c, i) => c + text[i + 1]));
  const [of_a, of_b] = [pairs(a), pairs(b)];
  return 2 * [...of_a].filter((pair) => of_b.has(pair)).length >= Math.min(of_a.size, of_b.size);
};

/** The flags of a command, as they may be written; letters are like nothing. */
const flagsOf = (command: Command): string[] =>
  command.options
    .flatMap(({ short, long, hidden }) => (hidden ? [] : [short, long]))
    .filter((flag): flag is string => !!flag?.startsWith("--"));

/** llama.cpp's flags of one dash and several letters, which would be read as one letter and its value. */
const singleDash: Readonly<Record<string, string>> = { "-ctk": "--kv-dtype", "-hf": "--model", "-sys": "--system" };

/** Arguments, with flags in the place of llama.cpp's. */
export const withAliases = (args: readonly string[]): string[] =>
  args.map((arg) => (Object.hasOwn(singleDash, arg) ? singleDash[arg] : arg));

/** A message of commander's, with what was meant in the place of its own guess. */
export function withSuggestion(message: string, command: Command): string {
  const [, kind, name] = /unknown (option|command) '(-{0,2}[^'=]*)/.exec(message) ?? [];
  if (kind === undefined) return message;
  const known = kind === "option" ? flagsOf(command) : command.commands.map((each) => each.name());
  // As in names of options, _ is -.
  const written = name.toLowerCase().replaceAll("_", "-");
  const other = Object.hasOwn(others, written) && known.includes(others[written]) ? others[written] : undefined;
  const plain = known.map((flag) => flag.replace(/^-+/, ""));
  const word = written.replace(/^-+/, "");
  const guess = known[plain.indexOf(nearest(word, plain))];
  const meant = other ?? (guess !== undefined && alike(word, guess.replace(/^-+/, "")) ? guess : undefined);
  return meant === undefined ? message : `${message.trimEnd()}: did you mean ${meant}?\n`;
}
