// tramontane logits: the logits of given ids; with --hash their SHA-256, the figure that is the same in every runtime,
// thread count and build.
import { Command, InvalidArgumentError } from "commander";
import { show } from "../config/show.ts";
import { AutoModelForCausalLM } from "../generation/auto.ts";
import { interruptible, write } from "./io.ts";
import { loadAdapters } from "./lora.ts";
import { loadOptions, type ModelFlags, withModel } from "./options.ts";

export function logitsCommand(): Command {
  const command = new Command("logits")
    .description("compute the logits of every position of some token ids")
    .requiredOption("--ids <list>", "token ids, separated by commas", parseIds)
    .option("--hash", "print the SHA-256 of the float32 logits, [ids, vocab], as little-endian bytes");
  return withModel(command).action(run);
}

function parseIds(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part))
      throw new InvalidArgumentError(`expected token ids separated by commas, found ${show(part)}`);
    return Number(part);
  });
}

async function run(flags: ModelFlags & { ids: number[]; hash?: boolean }): Promise<void> {
  await interruptible(async (signal) => {
    await using model = await AutoModelForCausalLM.from_pretrained(flags.model, { ...loadOptions(flags), signal });
    await loadAdapters(model, flags, signal);
    const { logits } = await model({ input_ids: flags.ids, use_cache: false, signal });
    const data = logits.data as Float32Array<ArrayBuffer>;
    if (flags.hash) {
      const hash = await sha256(data);
      return write(flags.json ? `${JSON.stringify({ hash, info: model.info() })}\n` : `${hash}\n`);
    }
    if (flags.json) return write(`${JSON.stringify({ ids: flags.ids, logits: logits[0].tolist() })}\n`);
    for (const [i, id] of flags.ids.entries()) {
      const row: number[] = logits[0][i].tolist();
      const top = row
        .map((value, token) => ({ value, token }))
        .sort((a, b) => b.value - a.value)
        .slice(0, 5);
      await write(`${i} ${id}: ${top.map(({ value, token }) => `${token} ${value.toFixed(4)}`).join(", ")}\n`);
    }
  });
}

async function sha256(values: Float32Array<ArrayBuffer>): Promise<string> {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setFloat32(i * 4, value, true);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
