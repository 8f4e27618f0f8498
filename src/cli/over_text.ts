// Commands that go over a text file with a model: perplexity and imatrix. The model is loaded, a bar drawn, the rate told.
import process from "node:process";
import type { Command } from "commander";
import { interruptible, say, write } from "./io.ts";
import { type Loaded, load } from "./load.ts";
import { type ModelFlags, withModel } from "./options.ts";
import { drawBar, eraseLine } from "./report.ts";
import { readTextFile } from "./text_file.ts";

export interface TextFlags extends ModelFlags {
  file: string;
}

/** What a run over a text is given. */
export interface TextRun extends Loaded {
  readonly text: string;
  readonly signal: AbortSignal;
  /** Draws the bar, with a figure behind it where there is one. */
  readonly progress: (info: { readonly loaded: number; readonly total: number }, figure?: string) => void;
}

/**
 * Adds -f, and what every command has that loads a model.
 * @param context - what tokens of `--context` are
 */
export function withText(command: Command, context: string): Command {
  withModel(
    command.requiredOption("-f, --file <path>", "the text, as it stands there, in UTF-8; - reads standard input"),
  );
  const option = command.options.find(({ long }) => long === "--context")!;
  option.description = `tokens of a ${context} (default: 512, or as many as the model has positions)`;
  option.envVar = undefined; // which is for the model's own
  return command;
}

/**
 * Reads the text, loads the model, runs over the one with the other, and writes the result: as JSON, or as lines.
 * @param lines - what is written of a result where it is not JSON
 * @param unit - what a second's tokens are called
 */
export async function overText<T extends { readonly tokens: number }>(
  flags: TextFlags,
  run: (given: TextRun) => Promise<T>,
  lines: (result: T) => string,
  unit: string,
): Promise<void> {
  // Loading a model takes a while: what is certain is said before.
  const text = await readTextFile(flags.file);
  const shown = !flags.quiet && !!process.stderr.isTTY;
  const progress: TextRun["progress"] = ({ loaded, total }, figure) => {
    const figures = [`${loaded} of ${total} tokens`, ...(figure === undefined ? [] : [figure])];
    if (shown) drawBar("reading", loaded / total, figures.join(", "));
  };
  await interruptible(async (signal) => {
    const loaded = await load(flags, signal);
    await using _ = loaded.model;
    const start = performance.now();
    const result = await run({ ...loaded, text, signal, progress }).finally(() => {
      if (shown) eraseLine();
    });
    if (flags.json) return write(`${JSON.stringify(result)}\n`);
    await write(lines(result));
    const seconds = (performance.now() - start) / 1000;
    if (!flags.quiet) say(`${seconds.toFixed(1)} s, ${(result.tokens / seconds).toFixed(0)} ${unit}/s`);
  });
}
