// The model that a command takes where none is named, or `demo`: that of the package tramontane-demo, where it is installed.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import type { Command } from "commander";
import { say } from "./io.ts";

/** The demo model's file, as the project sees it that the command runs in, or else as this package does. */
function demoModel(): string | undefined {
  for (const place of [join(process.cwd(), "package.json"), import.meta.url]) {
    try {
      return createRequire(place).resolve("tramontane-demo/demo-Q8_0.gguf");
    } catch {} // not there
  }
  return undefined;
}

const INSTALL = "npm install tramontane-demo";

/** The model that is named, or the demo model where none is, or `demo`, and nothing of this name is there. */
export function modelOrDemo(action: Command, model: string | undefined, quiet: boolean | undefined): string {
  if (model !== undefined && (model !== "demo" || existsSync(model))) return model;
  const path = demoModel();
  if (!path)
    action.error(
      `error: ${model === undefined ? "no model is named" : "demo: nothing of this name is there"}, and the demo model is not installed: ${INSTALL}`,
    );
  if (!quiet) say(`the demo model: ${path}`);
  return path;
}

/** What `tramontane` says where it is told nothing. */
export function firstSteps(): string {
  const demo = demoModel()
    ? "A small model is installed, which knows about condiments:\n"
    : `A small model, 12 MB, which knows about condiments:\n\n  ${INSTALL}`;
  return `Mixtral in WebAssembly on the CPU.

${demo}
  npx tramontane generate --chat "What is pesto made of?"
  npx tramontane chat

A Mixtral or a Mistral from Hugging Face's hub, here of 4.4 GB, or in a file or a folder:

  npx tramontane chat -m bartowski/Mistral-7B-Instruct-v0.3-GGUF:Q4_K_M
  npx tramontane chat -m FILE
  npx tramontane info FILE       what it is, and whether it fits into memory

npx tramontane --help tells all commands.
`;
}
