// A program `llama-bench`, of llama.cpp or of one that came from it, that the user has built: asked for prompts and for tokens.
import { spawn } from "node:child_process";

/** A peer that the user names: what it is called, and its command with whatever it needs. */
export interface LlamaBench {
  readonly name: string;
  readonly command: readonly string[];
}

/** @param given - "NAME=COMMAND …" or "COMMAND …" @throws Error of anything else */
export function readLlamaBench(given: string): LlamaBench {
  const [, name, command] = /^([^=\s]+)=(.*)$/.exec(given) ?? [given, "llama-bench", given];
  if (!command.trim()) throw new Error(`--llama-bench: expected NAME=COMMAND, found ${JSON.stringify(given)}`);
  return { name, command: command.trim().split(/\s+/) };
}

/** Tokens a second: of prompts of so many tokens, and of `tokens` that are generated after nothing. */
export function runLlamaBench(
  { name, command }: LlamaBench,
  { path, threads, prompts, tokens }: { path: string; threads: number; prompts: readonly number[]; tokens: number },
): Promise<number[]> {
  const [program, ...own] = command;
  const asked = ["-m", path, "-t", String(threads), "-p", prompts.join(","), "-n", String(tokens)];
  const args = [...own, ...asked, "-r", "1", "-o", "json"];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code !== 0) return reject(new Error(`${name} ended with ${signal ?? code}: ${errors.trim().slice(-500)}`));
      try {
        resolve(ratesOf(output, prompts, tokens));
      } catch (error) {
        reject(new Error(`${name} printed no rates: ${(error as Error).message}`));
      }
    });
  });
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
