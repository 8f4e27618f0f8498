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

/** Writes to standard output, and waits while its reader does not keep up. */
export function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** One line on standard error. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`);

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
