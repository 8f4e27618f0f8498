// tramontane tokenize: what a text's tokens are, and the text of tokens.
import { Command } from "commander";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import { interruptible, write } from "./io.ts";
import { parseIds } from "./logits.ts";
import { withModelPath } from "./options.ts";
import { readTextFile } from "./text_file.ts";

interface Flags {
  model: string;
  decode?: number[];
  ids?: boolean;
  addSpecialTokens: boolean;
  splitSpecialTokens?: boolean;
  json?: boolean;
}

export function tokenizeCommand(): Command {
  const command = new Command("tokenize")
    .description("tell the tokens of a text, or the text of tokens; the weights are not read")
    .argument("[text]", "the text; - or nothing reads it from standard input, as it stands there");
  return withModelPath(command, "tokenizer")
    .option("--decode <ids>", "token ids, separated by commas: print their text", parseIds)
    .option("--ids", "print the ids alone, separated by commas, as logits takes them")
    .option("--no-add-special-tokens", "the text's own tokens alone, without <s>")
    .option("--split-special-tokens", "text that spells a special token stays text")
    .option("--json", "print one JSON object")
    .action(run);
}

async function run(text: string | undefined, flags: Flags): Promise<void> {
  const { decode, ids: alone, json } = flags;
  await interruptible(async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(flags.model);
    if (decode) {
      const decoded = tokenizer.decode(decode);
      return write(json ? `${JSON.stringify({ ids: decode, text: decoded })}\n` : `${decoded}\n`);
    }
    const given = text === undefined || text === "-" ? await readTextFile("-") : text;
    const { addSpecialTokens: add_special_tokens, splitSpecialTokens: split_special_tokens } = flags;
    const ids = tokenizer.encode(given, { add_special_tokens, split_special_tokens });
    const tokens = tokenizer.convert_ids_to_tokens(ids);
    if (json) return write(`${JSON.stringify({ ids, tokens })}\n`);
    if (alone) return write(`${ids.join(",")}\n`);
    await write(ids.map((id, i) => `${String(id).padStart(7)}  ${JSON.stringify(tokens[i])}\n`).join(""));
  });
}
