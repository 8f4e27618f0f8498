#!/usr/bin/env node
// The tramontane command: exit status 0 done, 1 failed, 2 wrong usage, 130 interrupted.
import { readFileSync } from "node:fs";
import process from "node:process";
import { Command, CommanderError } from "commander";
import { chatCommand } from "./chat.ts";
import { completionCommand } from "./completion.ts";
import { convertCommand } from "./convert.ts";
import { firstSteps } from "./demo.ts";
import { downloadCommand } from "./download.ts";
import { generateCommand } from "./generate.ts";
import { imatrixCommand } from "./imatrix.ts";
import { infoCommand } from "./info.ts";
import { INTERRUPTED, Interrupted, say, write } from "./io.ts";
import { logitsCommand } from "./logits.ts";
import { mergeCommand } from "./merge.ts";
import { modelsCommand } from "./models.ts";
import { perplexityCommand } from "./perplexity.ts";
import { quantizeCommand } from "./quantize.ts";
import { withAliases, withSuggestion } from "./suggest.ts";
import { tokenizeCommand } from "./tokenize.ts";

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));

const program = new Command("tramontane").description("Mixtral in WebAssembly on the CPU").version(version);
for (const command of [
  ...[generateCommand, chatCommand, infoCommand, tokenizeCommand, logitsCommand],
  ...[downloadCommand, modelsCommand],
  ...[perplexityCommand, quantizeCommand, imatrixCommand, convertCommand, mergeCommand],
])
  program.addCommand(command());
program.addCommand(completionCommand(program));
for (const command of [program, ...program.commands]) {
  command
    .exitOverride()
    .showHelpAfterError("(--help tells the options)")
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: (message, write) => write(withSuggestion(message, command)) });
}

// What the library warns of is one line, as all that is said.
process.removeAllListeners("warning");
process.on("warning", ({ name, message }) => say(name === "TramontaneWarning" ? message : `${name}: ${message}`));

// A reader that goes away (head, less) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

try {
  if (process.argv.length > 2) await program.parseAsync(withAliases(process.argv));
  else await write(firstSteps());
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof Interrupted) process.exitCode = INTERRUPTED;
  else {
    say(`tramontane: ${error instanceof Error ? error.message : String(error)}`);
    if (process.env.TRAMONTANE_DEBUG) console.error(error);
    process.exitCode = 1;
  }
}
