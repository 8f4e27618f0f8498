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

/** Adds `-m`, which becomes the demo model's path where it is left out or `demo`, and nothing of this name is there. */
export function withModelPath(command: Command): Command {
  return command
    .option("-m, --model <path>", "a checkpoint: a Hugging Face folder or a .gguf file (default: tramontane-demo's)")
    .hook("preAction", (_, action) => {
      const { model, quiet } = action.opts<{ model?: string; quiet?: boolean }>();
      if (model !== undefined && (model !== "demo" || existsSync(model))) return;
      const path = demoModel();
      if (!path)
        action.error(
          `error: ${model === undefined ? "no model is named (-m PATH)" : "demo: nothing of this name is there"}, and the demo model is not installed: ${INSTALL}`,
        );
      action.setOptionValue("model", path);
      if (!quiet) say(`the demo model: ${path}`);
    });
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
