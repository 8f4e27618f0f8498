// Tekken, the byte-level BPE of Mistral's dense models, from its three kinds of files: against mistral-common and Hugging
// Face's tokenizers, exactly. tekken_small.json (make_tekken_small.py) holds a small cut, which every clone has.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture, hasFixture, json } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";

const folder = "tokenizers/tekken";
const encode = (tokenizer: Tokenizer, text: string, split_special_tokens = false) =>
  tokenizer.encode(text, { add_special_tokens: false, split_special_tokens });

if (!hasFixture(folder)) console.log("# tokenizers/tekken is not among the copied fixtures");
else {
  const read = (name: string) => readFileSync(fixture(`${folder}/${name}`));
  const at = async (name: string) => loadTokenizer(await repositoryAt(fixture(`${folder}/${name}`)));
  const config = { "tokenizer_config.json": read("tokenizer_config.json") };
  const sources: Record<string, Tokenizer> = {
    "tekken.json": await loadTokenizer(memoryFiles({ "tekken.json": read("tekken.json") })),
    "tekken.json, config beside it": await loadTokenizer(
      memoryFiles({ "tekken.json": read("tekken.json"), ...config }),
    ),
    "tekken_list.json": await at("tekken_list.json"),
    "tokenizer.json": await at("tokenizer.json"),
    "vocab.gguf": await at("vocab.gguf"),
  };
  const file = JSON.parse(read("tokenizer.json").toString());
  const merges = file.model.merges.map((pair: string[]) => pair.join(" "));
  for (const ignore_merges of [true, false])
    sources[`merges as strings, ignore_merges ${ignore_merges}`] = await loadTokenizer(
      memoryFiles({ "tokenizer.json": JSON.stringify({ ...file, model: { ...file.model, merges, ignore_merges } }) }),
    );

  test("texts", () => {
    const { cases } = json(`${folder}/encode.json`);
    assert.is(cases.length, 215);
    let literals = 0;
    for (const [source, tokenizer] of Object.entries(sources)) {
      assert.is(tokenizer.vocab_size, 8000, source);
      for (const c of cases) {
        const where = `${source}: ${c.name}`;
        assert.equal(encode(tokenizer, c.text, true), c.ids, where);
        const special = tokenizer.encode(c.text, { split_special_tokens: true });
        assert.equal(special, c.ids_special, where);
        const text = c.text.replace(/\p{Cs}/gu, "\ufffd");
        assert.is(tokenizer.decode(special), `<s>${text}`, where);
        assert.is(tokenizer.decode(special, { skip_special_tokens: true }), text, where);
        const literal = source === "tekken_list.json" && c.literal_list !== undefined ? c.literal_list : c.literal;
        if (literal) {
          literals++;
          assert.equal(encode(tokenizer, c.text), literal.ids, where);
          const with_bos = [1, ...literal.ids];
          assert.is(tokenizer.decode(with_bos), literal.decode_keep, where);
          assert.is(tokenizer.decode(with_bos, { skip_special_tokens: true }), literal.decode_skip, where);
        } else assert.equal(encode(tokenizer, c.text), c.ids, where);
      }
    }
    console.log(`# ${cases.length} texts from ${Object.keys(sources).length} files, ${literals} with literals`);
  });

  test("random texts", () => {
    const lines = read("stress.jsonl").toString().trim().split("\n");
    assert.is(lines.length, 292);
    for (const line of lines) {
      const { text, ids } = JSON.parse(line);
      for (const [source, tokenizer] of Object.entries(sources)) {
        assert.equal(encode(tokenizer, text), ids, `${source}: ${line}`);
        assert.is(tokenizer.decode(ids), text, `${source}: ${line}`);
      }
    }
  });

  test("ids", () => {
    const { cases } = json(`${folder}/decode.json`);
    assert.is(cases.length, 111);
    for (const [source, tokenizer] of Object.entries(sources))
      for (const c of cases) {
        const keep = source === "tekken_list.json" ? (c.keep_list ?? c.keep) : c.keep;
        assert.is(tokenizer.decode(c.ids, { skip_special_tokens: true }), c.skip, `${source}: ${c.name}`);
        assert.is(tokenizer.decode(c.ids), keep, `${source}: ${c.name}`);
      }
  });

  test("streams", () => {
    const { cases } = json(`${folder}/stream.json`);
    assert.is(cases.length, 109);
    for (const [source, tokenizer] of Object.entries(sources)) {
      if (source === "tekken_list.json") continue; // names of its own
      for (const c of cases)
        for (const certain of [true, false]) {
          const stream = tokenizer.decode_stream({ skip_special_tokens: c.skip, certain });
          const pieces = [...c.ids.map((id: number) => stream.push(id)), stream.end()];
          assert.equal(pieces, c.pieces, `${source}: ${c.name}`);
        }
    }
  });
}

test.run();
