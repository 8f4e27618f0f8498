// Standard streams and interruption, as all commands treat them: text to standard output, everything else to standard
// error; Ctrl-C aborts what runs.
import process from "node:process";

/** The exit statuses: done 0, failed 1, wrong usage 2, interrupted 130. */
export const INTERRUPTED = 130;

export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/** What commands a terminal, or turns the direction of text: all control characters but tab and line feed. */
const commanding = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/** Text as a terminal may get it: what a file or a model says must not command it. Written so that JSON stays JSON. */
export const visible = (text: string): string =>
  text.replace(commanding, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Writes to standard output, and waits while its reader does not keep up. A file or a pipe gets the text as it is. */
export function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const shown = process.stdout.isTTY ? visible(text) : text;
    process.stdout.write(shown, (error) => (error ? reject(error) : resolve()));
  });
}

/** One line on standard error. */
export const say = (line: string): void => void process.stderr.write(`${visible(line)}\n`);

/** Runs something that Ctrl-C aborts; a second Ctrl-C ends the process at once. */
export async function interruptible<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = () => {
    process.removeListener("SIGINT", abort);
    controller.abort(new Interrupted());
  };
  process.on("SIGINT", abort);
  try {
    return await run(controller.signal);
  } finally {
    process.removeListener("SIGINT", abort);
  }
}

/** All of standard input. */
export async function readInput(): Promise<Uint8Array> {
  if (process.stdin.isTTY) say("reading standard input; Ctrl-D ends it");
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part);
  return Buffer.concat(parts);
}
