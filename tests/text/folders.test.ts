// Hugging Face folders as fine-tunes leave them: tokens from every file that can carry one, and files at odds.
// folders.json is what transformers makes of them; make_folders.py wrote it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/text/special_tokens.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerJSON } from "../../src/text/tokenizer_json.ts";
import { demo, root } from "../fixtures.ts";

/** Ids without special tokens around the text, decoded without and with them. */
type Text = [ids: string, skip: string, keep?: string];

interface Folder {
  files: {
    tokenizer?: { add?: object[] };
    tokenizer_config?: object;
    special_tokens_map?: object;
    added_tokens?: object;
  };
  /** What transformers fails with. */
  error?: string;
  /** Ids of bos, eos, unk, pad. */
  roles: (number | null)[];
  sides: [padding: string, truncation: string];
  length: number;
  /** Ids that `skip_special_tokens` leaves out. */
  skipped: number[];
  texts: (Text | 0)[];
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const { texts, folders } = read(join(root, "tests", "text", "folders.json")) as {
  texts: string[];
  folders: Record<string, Folder>;
};
const first = folders["tokenizer.json alone"].texts as Text[];

function load({ tokenizer = {}, ...others }: Folder["files"]): Tokenizer {
  const file = read(join(demo, "tokenizer.json"));
  const { add = [], ...rest } = tokenizer;
  Object.assign(file, rest);
  file.added_tokens.push(...add);
  const vocabulary = readTokenizerJSON(file, "tokenizer.json");
  const parsed = Object.entries(others).map(([name, json]) => [name, { json, source: `${name}.json` }]);
  return new Tokenizer(vocabulary, readConfig(Object.fromEntries(parsed), vocabulary));
}

test("the number of cases", () => {
  const all = Object.values(folders);
  assert.equal([all.length, all.filter(({ error }) => error).length, texts.length], [136, 4, 6]);
});

for (const [name, folder] of Object.entries(folders))
  test(name, () => {
    const tokenizer = load(folder.files);
    // Where `special` stands in an added token that is special anyway, transformers trips over the argument given twice.
    if (folder.error) return;
    const { bos_token_id, eos_token_id, unk_token_id, pad_token_id } = tokenizer;
    const roles = [bos_token_id, eos_token_id, unk_token_id, pad_token_id].map((id) => id ?? null);
    assert.equal(roles, folder.roles, "roles");
    assert.equal([tokenizer.padding_side, tokenizer.truncation_side], folder.sides, "sides");
    const known = (id: number) => tokenizer.convert_ids_to_tokens(id) !== undefined;
    assert.equal([known(folder.length - 1), known(folder.length)], [true, false], "length");
    assert.equal(tokenizer.all_special_ids, folder.skipped, "skipped");
    for (const [i, text] of texts.entries()) {
      const [ids, skip, keep = `<s> ${skip}`.replace(/^<s> $/, text === "" ? "<s>" : "<s> ")] =
        folder.texts[i] || first[i];
      const what = JSON.stringify(text);
      assert.is(tokenizer.encode(text, { add_special_tokens: false }).join(" "), ids, what);
      const whole = tokenizer.encode(text);
      assert.is(tokenizer.decode(whole, { skip_special_tokens: true }), skip, `${what}, decoded`);
      assert.is(tokenizer.decode(whole), keep, `${what}, decoded with special tokens`);
    }
  });

test.run();
