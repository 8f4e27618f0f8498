// Forms of tokenizer.json beyond the two of the fixtures: every kind of added token, Metaspace's options, templates.
// variants.json is what Hugging Face makes of them; make_variants.py wrote it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/text/special_tokens.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerJSON } from "../../src/text/tokenizer_json.ts";
import { demo, root } from "../fixtures.ts";

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const { variants } = read(join(root, "tests", "text", "variants.json"));

interface Variant {
  patch: { add?: object[]; model?: object };
  cases: {
    text: string;
    other: string;
    ids: number[];
    ids_special: number[];
    pair: number[];
    type_ids: number[];
    skip: string;
    keep: string;
  }[];
}

for (const [name, { patch, cases }] of Object.entries<Variant>(variants)) {
  test(name, () => {
    const { add = [], model = {}, ...rest } = patch;
    const file = read(join(demo, "tokenizer.json"));
    Object.assign(file, rest);
    Object.assign(file.model, model);
    file.added_tokens.push(...add);
    const vocabulary = readTokenizerJSON(file, name);
    const tokenizer = new Tokenizer(vocabulary, readConfig({}, vocabulary));
    for (const c of cases) {
      const what = JSON.stringify(c.text);
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c.ids, what);
      assert.equal(tokenizer.encode(c.text), c.ids_special, `${what}, special tokens`);
      const pair = tokenizer(c.text, { text_pair: c.other, return_token_type_ids: true, return_tensor: false });
      assert.equal([pair.input_ids, pair.token_type_ids], [c.pair, c.type_ids], `${what}, pair`);
      assert.is(tokenizer.decode(c.ids_special, { skip_special_tokens: true }), c.skip, `${what}, decoded`);
      assert.is(tokenizer.decode(c.ids_special), c.keep, `${what}, decoded with special tokens`);
    }
  });
}

test.run();
