// tramontane models: what has been downloaded, and how much it takes; away with one by --remove.
import { Command } from "commander";
import { models, survey } from "../hub/models.ts";
import { say, visible, write } from "./io.ts";
import { bytes } from "./report.ts";

interface Flags {
  remove?: string;
  cacheDir?: string;
  json?: boolean;
}

export function modelsCommand(): Command {
  return new Command("models")
    .description("list the models in the cache, which is Hugging Face's own")
    .option("--remove <name>", "remove a model with all that is kept of it")
    .option("--cache-dir <folder>", "another cache than HF_HUB_CACHE says")
    .option("--json", "print one JSON object")
    .action(run);
}

async function run({ remove, cacheDir: cache_dir, json }: Flags): Promise<void> {
  if (remove !== undefined) {
    await models.remove(remove, { cache_dir });
    return say(`${remove} was removed`);
  }
  const { models: list, usage } = await survey({ cache_dir });
  if (json) return write(`${JSON.stringify({ models: list, usage })}\n`);
  const width = Math.max(0, ...list.map(({ name }) => name.length));
  for (const { name, path, bytes: size, complete } of list)
    await write(
      visible(`${name.padEnd(width)}  ${bytes(size).padStart(7)}  ${complete ? "" : "(not whole) "}${path}`).concat(
        "\n",
      ),
    );
  say(
    `${list.length} models, ${bytes(usage.bytes)}${usage.quota === undefined ? "" : `, ${bytes(usage.quota - usage.bytes)} free`}`,
  );
}
