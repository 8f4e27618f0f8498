// tramontane download ID: a model into the cache; its path, and nothing else, goes to standard output.
import { Command } from "commander";
import { download } from "../hub/download.ts";
import { interruptible, write } from "./io.ts";
import { withDownloadLine } from "./local_model.ts";
import { several } from "./options.ts";

interface Flags {
  revision?: string;
  token?: string;
  include?: string[];
  cacheDir?: string;
  quiet?: boolean;
}

export function downloadCommand(): Command {
  return new Command("download")
    .description("download a model into the cache, and print its path; what was cut short is gone on with")
    .argument("<id>", "owner/name on the hub, owner/name:Q4_K_M for one type of GGUF, or a URL")
    .option("--revision <name>", "a branch, a tag or a commit (default: main)")
    .option("--token <token>", "an access token (default: HF_TOKEN, or that of `hf auth login`)")
    .option("--include <pattern>", "files to take instead of those that a model is loaded from; repeatable", several)
    .option("--cache-dir <folder>", "another cache than HF_HUB_CACHE says")
    .option("--quiet", "print nothing but the path")
    .action(run);
}

async function run(id: string, { revision, token, include, cacheDir, quiet }: Flags): Promise<void> {
  const path = await interruptible((signal) =>
    withDownloadLine(quiet, (progress_callback) =>
      download(id, { revision, token, files: include, cache_dir: cacheDir, progress_callback, signal }),
    ),
  );
  await write(`${path}\n`);
}
