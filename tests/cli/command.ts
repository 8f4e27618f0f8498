// The command line as its users meet it: a process with three streams and an exit status.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { demo, root } from "../fixtures.ts";

export const main = join(root, "dist", "src", "cli", "main.js");

/** What other programs start programs of this runtime with. What Deno is run with it tells children of its own alone. */
export const runtime = [process.execPath, ...("deno" in process.versions ? ["run", "-A"] : [])];

/** The command as other programs start it. */
export const words = (...args: string[]): string[] => [...runtime, main, ...args];

/** The same for a shell. */
export const shellWords = (...args: string[]): string =>
  words(...args)
    .map((word) => `'${word}'`)
    .join(" ");

export interface Outcome {
  /** The exit status; null when a signal ended the process. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** One run of the command, from the project's root, that can be spoken to while it goes on. */
export class Command {
  readonly process: ChildProcessWithoutNullStreams;
  stdout = "";
  stderr = "";
  readonly ended: Promise<Outcome>;
  private changed: () => void = () => {};

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.process = spawn(process.execPath, [main, ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    const decode = (stream: NodeJS.ReadableStream, add: (text: string) => void) => {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        add(text);
        this.changed();
      });
    };
    decode(this.process.stdout, (text) => {
      this.stdout += text;
    });
    decode(this.process.stderr, (text) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.process.on("error", reject);
      this.process.on("close", (status) => {
        this.changed();
        resolve({ status, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  say(line: string): void {
    this.process.stdin.write(`${line}\n`);
  }

  interrupt(): void {
    process.kill(this.process.pid!, "SIGINT"); // the child's own kill() ends its standard input, too, in Deno
  }

  /** Waits until the output so far satisfies a condition. @throws when it does not within a minute, or the process ends */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!condition()) {
      const { exitCode } = this.process;
      if (exitCode !== null || Date.now() > deadline) {
        this.process.kill("SIGKILL");
        throw new Error(`waiting for ${what} (status ${exitCode}): stdout ${this.stdout}, stderr ${this.stderr}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Runs the command to its end. */
export function tramontane(args: readonly string[], input = "", env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const command = new Command(args, env);
  command.process.stdin.on("error", () => {}); // it may end before it has read
  command.process.stdin.end(input);
  return command.ended;
}

/** Options of an answer that is long (1287 tokens of the demo model's, drawn almost evenly) and the same each time. */
export const rambling = ["--temperature", "100", "--top-k", "0", "--seed", "2", "-n", "4000"];

/** The demo model with other texts in the place of some files: a folder that the caller removes. */
export function changedDemo(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-demo-"));
  for (const name of readdirSync(demo)) if (!(name in files)) symlinkSync(join(demo, name), join(folder, name));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** The demo model without its window, so that a context can be full: a folder that the caller removes. */
export function windowless(): string {
  const config = JSON.parse(readFileSync(join(demo, "config.json"), "utf8"));
  return changedDemo({ "config.json": JSON.stringify({ ...config, sliding_window: null }) });
}
