// tramontane logits: the logits of a text, or of given ids; with --hash their SHA-256, the figure that is the same in every
// runtime, thread count and build.
import { type Command as Caller, Command, InvalidArgumentError } from "commander";
import { show } from "../config/show.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { interruptible, write } from "./io.ts";
import { loadModel } from "./load.ts";
import { count, type ModelFlags, withModel } from "./options.ts";

interface Flags extends ModelFlags {
  ids?: number[];
  hash?: boolean;
  top: number;
}

export function logitsCommand(): Command {
  const command = new Command("logits")
    .description("compute the logits of every position of a text, or of token ids")
    .argument("[text]", "the text, whose tokens are those that generate reads")
    .option("--ids <list>", "token ids, separated by commas, in the place of a text", parseIds)
    .option("--hash", "print the SHA-256 of the float32 logits, [ids, vocab], as little-endian bytes")
    .option("--top <n>", "tokens that are told of each position, the likeliest", count, 5);
  return withModel(command).action(run);
}

export function parseIds(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part))
      throw new InvalidArgumentError(`expected token ids separated by commas, found ${show(part)}`);
    return Number(part);
  });
}

async function run(text: string | undefined, flags: Flags, command: Caller): Promise<void> {
  if ((text === undefined) === (flags.ids === undefined))
    command.error(`error: expected a text or --ids, found ${text === undefined ? "neither" : "both"}`);
  await interruptible(async (signal) => {
    const { ids: given, hash: hashed, json, model: path } = flags;
    // Ids need no tokenizer; where there is one, it says what they are, to who reads lines.
    const opened = given && (hashed || json) ? undefined : AutoTokenizer.from_pretrained(path);
    const tokenizer = await (given ? opened?.catch(() => undefined) : opened);
    const ids = given ?? tokenizer!.encode(text!);
    await using model = await loadModel(flags, signal);
    const { logits } = await model({ input_ids: ids, use_cache: false, signal });
    const data = logits.data as Float32Array<ArrayBuffer>;
    if (hashed) {
      const hash = await sha256(data);
      return write(json ? `${JSON.stringify({ hash, info: model.info() })}\n` : `${hash}\n`);
    }
    if (json) return write(`${JSON.stringify({ ids, logits: logits[0].tolist() })}\n`);
    for (const [i, id] of ids.entries())
      await write(`${i} ${named(id, tokenizer)}: ${likeliest(logits[0][i].data, flags.top, tokenizer)}\n`);
  });
}

/** An id, and the token that it is. */
const named = (id: number, tokenizer: Tokenizer | undefined): string => {
  const token = tokenizer?.convert_ids_to_tokens(id);
  return token === undefined ? `${id}` : `${id} ${JSON.stringify(token)}`;
};

/** The tokens with the largest logits: each with its logit and its probability. */
function likeliest(row: ArrayLike<number>, top: number, tokenizer: Tokenizer | undefined): string {
  const logits = Array.from(row);
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  return logits
    .map((value, id) => ({ value, id }))
    .sort((a, b) => b.value - a.value)
    .slice(0, top)
    .map(({ value, id }) => {
      const share = (100 * Math.exp(value - largest)) / sum;
      return `${named(id, tokenizer)} ${value.toFixed(4)} ${share.toFixed(1)} %`;
    })
    .join(", ");
}

async function sha256(values: Float32Array<ArrayBuffer>): Promise<string> {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setFloat32(i * 4, value, true);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
