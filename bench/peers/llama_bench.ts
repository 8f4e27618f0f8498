// A program `llama-bench`, of llama.cpp or of one that came from it, that the user has built: asked for prompts and for tokens.
import { collect } from "../child.ts";

/** A peer that the user names: what it is called, and its command with whatever it needs. */
export interface LlamaBench {
  readonly name: string;
  readonly command: readonly string[];
}

/** @param given - "NAME=COMMAND …", or a command alone @throws where there is none */
export function readLlamaBench(given: string): LlamaBench {
  const [, name, command] = /^([^=\s]+)=(.*)$/.exec(given) ?? [given, "llama-bench", given];
  if (!command.trim()) throw new Error(`--llama-bench: expected NAME=COMMAND, found ${JSON.stringify(given)}`);
  return { name, command: command.trim().split(/\s+/) };
}

/** Tokens a second: of prompts of so many tokens, and of `tokens` that are generated after nothing. */
export async function runLlamaBench(
  { name, command }: LlamaBench,
  { path, threads, prompts, tokens }: { path: string; threads: number; prompts: readonly number[]; tokens: number },
): Promise<number[]> {
  const [program, ...own] = command;
  const asked = ["-m", path, "-t", String(threads), "-p", prompts.join(","), "-n", String(tokens)];
  const { output, errors, ended } = await collect(program, [...own, ...asked, "-r", "1", "-o", "json"]);
  if (ended !== 0) throw new Error(`${name} ended with ${ended}: ${errors.trim().slice(-500)}`);
  try {
    return ratesOf(output, prompts, tokens);
  } catch (error) {
    throw new Error(`${name} printed no rates: ${(error as Error).message}`);
  }
}

function ratesOf(output: string, prompts: readonly number[], tokens: number): number[] {
  const rows = JSON.parse(output) as { n_prompt: number; n_gen: number; avg_ts: number }[];
  const rate = (prompt: number, generated: number) => {
    const row = rows.find(({ n_prompt, n_gen }) => n_prompt === prompt && n_gen === generated);
    if (!row) throw new Error(`nothing for ${prompt} tokens of a prompt and ${generated} generated`);
    return row.avg_ts;
  };
  return [...prompts.map((prompt) => rate(prompt, 0)), rate(0, tokens)];
}
