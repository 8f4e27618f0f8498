// SentencePiece models of other settings than Mixtral's: pieces.json is what SentencePiece makes of them, and
// make_pieces.py wrote it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fromSentencePieces } from "../../src/text/sentencepiece.ts";
import { readConfig } from "../../src/text/special_tokens.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerModel } from "../../src/text/tokenizer_model.ts";
import { root } from "../fixtures.ts";

const { models } = JSON.parse(readFileSync(join(root, "tests", "text", "pieces.json"), "utf8"));

interface Model {
  model: string;
  bos_id: number;
  eos_id: number;
  size: number;
  cases: { text: string; ids: number[] }[];
}

for (const [name, { model, bos_id, eos_id, size, cases }] of Object.entries<Model>(models)) {
  test(name, () => {
    const around = { add_bos_token: true, add_eos_token: true };
    const pieces = readTokenizerModel(Buffer.from(model, "base64"), name, around);
    assert.is(pieces.pieces.length, size);
    const vocabulary = fromSentencePieces(pieces);
    const tokenizer = new Tokenizer(vocabulary, readConfig({}, vocabulary));
    for (const c of cases) {
      const ids = tokenizer.encode(c.text, { add_special_tokens: false });
      assert.equal(ids, c.ids, JSON.stringify(c.text));
      assert.equal(tokenizer.encode(c.text), [...(bos_id < 0 ? [] : [bos_id]), ...ids, eos_id]);
      if (!ids.includes(0)) assert.is(tokenizer.decode(ids), c.text.replaceAll("▁", " "), "and back");
    }
  });
}

test.run();
