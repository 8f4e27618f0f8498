// The tokenizers of Mixtral 8x22B (SentencePiece v2 and v3) against Hugging Face's tokenizers, SentencePiece and llama.cpp, exactly.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { fromSentencePieces } from "../../src/text/sentencepiece.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerModel } from "../../src/text/tokenizer_model.ts";
import { demo as demoFolder, fixture, hasFixture, json } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";

const folder = "tokenizers/mixtral_v3";
const load = async (name: string): Promise<Tokenizer> =>
  loadTokenizer(await repositoryAt(fixture(`${folder}/${name}`)));
const encode = (tokenizer: Tokenizer, text: string, split_special_tokens = false) =>
  tokenizer.encode(text, { add_special_tokens: false, split_special_tokens });

if (!hasFixture(folder)) console.log("# tokenizers/mixtral_v3 is not among the copied fixtures");
else
  for (const [version, texts] of [
    ["v2", 91],
    ["v3", 219],
  ] as const)
    test(`${version}: every form and file`, async () => {
      const { cases } = json(`${folder}/encode_${version}.json`);
      assert.is(cases.length, texts);
      const file = json(`${folder}/tokenizer_${version}.json`);
      const legacy = JSON.stringify({ ...file, ...json(`${folder}/forms.json`).legacy });
      const sources: Record<string, Tokenizer> = {
        metaspace_first: await load(`tokenizer_${version}.json`),
        legacy: await loadTokenizer(memoryFiles({ "tokenizer.json": legacy })),
        model: await load(`tokenizer_${version}.model`),
        ...(version === "v3" ? { gguf: await load("vocab_v3.gguf") } : {}),
      };
      for (const [source, tokenizer] of Object.entries(sources)) {
        assert.is(tokenizer.vocab_size, 32768);
        for (const c of cases) {
          const where = `${source}: ${c.name}`;
          const expected = source === "metaspace_first" ? c.metaspace_first : c.legacy;
          // SentencePiece puts one ▁ before a text, not one before each stretch beside a piece of the user's.
          const own = source === "model" && c.name.startsWith("user defined");
          if (!own) {
            assert.equal(encode(tokenizer, c.text), expected.ids, where);
            assert.equal(tokenizer.encode(c.text), expected.ids_special, where);
          }
          if (source === "model") assert.equal(encode(tokenizer, c.text, true), c.spm, `${where}, literals as text`);
          assert.is(tokenizer.decode(expected.ids_special, { skip_special_tokens: true }), expected.decode_skip, where);
          assert.is(tokenizer.decode(expected.ids_special), expected.decode_keep, where);
        }
        for (const c of json(`${folder}/decode_${version}.json`).cases) {
          assert.is(tokenizer.decode(c.ids, { skip_special_tokens: true }), c.skip, `${source}: ${c.name}`);
          assert.is(tokenizer.decode(c.ids), c.keep, `${source}: ${c.name}`);
        }
      }
      if (version !== "v3") return;
      for (const c of json(`${folder}/llama_cpp_v3.json`).cases) {
        assert.equal(encode(sources.gguf, c.text), c.special, `llama.cpp: ${c.name}`);
        assert.equal(encode(sources.gguf, c.text, true), c.plain, `llama.cpp, literals as text: ${c.name}`);
      }
    });

for (const [name, model, file] of [
  ["v1", "tokenizers/mixtral/tokenizer.model", "tokenizers/mixtral/tokenizer.json"],
  ["v2", `${folder}/tokenizer_v2.model`, `${folder}/tokenizer_v2.json`],
  ["v3", `${folder}/tokenizer_v3.model`, `${folder}/tokenizer_v3.json`],
])
  test(`${name}: tokenizer.model merges by score, in the order of tokenizer.json`, () => {
    if (!hasFixture(model)) return console.log(`# ${model} is not among the copied fixtures`);
    const options = { add_bos_token: true, add_eos_token: false };
    const pieces = readTokenizerModel(new Uint8Array(readFileSync(fixture(model))), model, options);
    const { ids, merges } = fromSentencePieces(pieces);
    const listed: [string, string][] = json(file).model.merges.map((m: any) => (Array.isArray(m) ? m : m.split(" ")));
    assert.is(merges.size, listed.length);
    if (name === "v1") assert.is(listed.length, 58_980);
    let [last, byId] = [-1, true];
    let lastId = -1;
    for (const [left, right] of listed) {
      const found = merges.find(ids.get(left)!, ids.get(right)!);
      assert.ok(found >= 0, `${left} ${right}`);
      assert.ok(merges.rank(found) >= last, `${left} ${right}`);
      assert.is(merges.result(found), ids.get(left + right));
      if (merges.result(found) < lastId) byId = false;
      [last, lastId] = [merges.rank(found), merges.result(found)];
    }
    assert.not(byId, "the order of ids is another: pieces of spaces have low ids, and the lowest scores");
  });

test("split_special_tokens: what users write becomes no control token; by a call, by the tokenizer, never in a template", async () => {
  const config = { "tokenizer_config.json": JSON.stringify({ split_special_tokens: true }) };
  const json = readFileSync(join(demoFolder, "tokenizer.json"));
  assert.is((await loadTokenizer(memoryFiles({ "tokenizer.json": json, ...config }))).split_special_tokens, true);
  const demo = await loadTokenizer(await repositoryAt(demoFolder));
  const text = "a </s> b";
  const [special, spelled] = [demo.encode(text), demo.encode(text, { split_special_tokens: true })];
  assert.ok(special.includes(2) && !spelled.includes(2));
  assert.is(demo.decode(spelled, { skip_special_tokens: true }), text);
  assert.equal(demo(text, { split_special_tokens: true, return_tensor: false }).input_ids, spelled);
  demo.split_special_tokens = true;
  assert.equal(demo.encode(text), spelled);
  assert.equal(demo.encode(text, { split_special_tokens: false }), special);
  const chat = { return_dict: false, return_tensor: false } as const;
  assert.ok(demo.apply_chat_template([{ role: "user", content: "a" }], chat).includes(1), "the template's own <s>");
});

test.run();
