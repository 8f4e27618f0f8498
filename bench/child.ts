// Runs programs in processes of their own; those of the bench print JSON last.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Measurement, Request } from "./measure.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** What a command printed, and how it ended: 0 if well. @throws where it cannot be run */
export function collect(
  command: string,
  args: readonly string[],
): Promise<{ output: string; errors: string; ended: number | string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ output, errors, ended: signal ?? code! }));
  });
}

/** @param program - a file beside this one, without its ending @throws with what the process said when it fails */
export async function runProgram<T>(program: string, args: readonly string[], runtime: readonly string[]): Promise<T> {
  const [command, ...flags] = runtime;
  const { output, errors, ended } = await collect(command, [...flags, join(here, `${program}.js`), ...args]);
  const cause = errors.split("\n").find((line) => /^\S[\w.: ]*Error\b/.test(line)) ?? errors.trim().slice(-2000);
  if (ended !== 0) throw new Error(`${program} ended with ${ended}: ${cause}`);
  return JSON.parse(output.trimEnd().split("\n").at(-1) ?? "");
}

/** The runtime that the bench itself runs in. */
export const ownRuntime: readonly string[] = [process.execPath];

/** Measures a checkpoint in a fresh process. */
export const measureModel = (request: Request, runtime: readonly string[]): Promise<Measurement> =>
  runProgram("measure", [JSON.stringify(request)], runtime);
