// Runs a program of the bench in a process of its own and reads the JSON that it prints last.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Measurement, Request } from "./measure.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** @param program - a file beside this one, without its ending @throws with what the process said when it fails */
export function runProgram<T>(program: string, args: readonly string[], runtime: readonly string[]): Promise<T> {
  const [command, ...flags] = runtime;
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...flags, join(here, `${program}.js`), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const last = output.trimEnd().split("\n").at(-1) ?? "";
      const cause = errors.split("\n").find((line) => /^\S[\w.: ]*Error\b/.test(line)) ?? errors.trim().slice(-2000);
      if (code !== 0) reject(new Error(`${program} ended with ${signal ?? code}: ${cause}`));
      else resolve(JSON.parse(last));
    });
  });
}

/** The runtime that the bench itself runs in. */
export const ownRuntime: readonly string[] = [process.execPath];

/** Measures a checkpoint in a fresh process. */
export const measureModel = (request: Request, runtime: readonly string[]): Promise<Measurement> =>
  runProgram("measure", [JSON.stringify(request)], runtime);
