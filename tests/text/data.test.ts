// Tokenizers that were posted as data: they encode, decode and speak as Hugging Face's do, as those do that were read from
// files; and are made in stretches.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { makeTokenizer, tokenizerData } from "../../src/text/tokenizer_data.ts";
import { demo, fixture, hasFixture, json } from "../fixtures.ts";
import { forms, sources } from "./sources.ts";

/** As another thread gets it. */
const posted = ({ vocabulary, config }: Tokenizer): Promise<Tokenizer> =>
  makeTokenizer(structuredClone(tokenizerData(vocabulary, config)));

test("ids of Hugging Face's tokenizers and of SentencePiece", async () => {
  const { cases } = json("tokenizers/mixtral/encode.json");
  for (const [form, read] of Object.entries(forms)) {
    const tokenizer = await posted(read);
    for (const c of cases) {
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c[form].ids, `${form}: ${c.name}`);
      assert.equal(tokenizer.encode(c.text), c[form].ids_special, `${form}, special tokens: ${c.name}`);
    }
  }
  for (const [source, read] of Object.entries(sources)) {
    const tokenizer = await posted(read);
    for (const c of cases) {
      assert.equal(tokenizer.encode(c.text), c.legacy.ids_special, `${source}: ${c.name}`);
      assert.is(tokenizer.decode(c.legacy.ids_special), read.decode(c.legacy.ids_special), `${source}: ${c.name}`);
    }
  }
});

if (hasFixture("tokenizers/tekken"))
  test("Tekken's ids, of its three kinds of files", async () => {
    const { cases } = json("tokenizers/tekken/encode.json");
    for (const name of ["tekken.json", "tokenizer.json", "vocab.gguf"]) {
      const tokenizer = await posted(await AutoTokenizer.from_pretrained(fixture(`tokenizers/tekken/${name}`)));
      const options = { add_special_tokens: false, split_special_tokens: true };
      for (const c of cases) assert.equal(tokenizer.encode(c.text, options), c.ids, `${name}: ${c.name}`);
    }
  });

test("conversations, and what their reader has changed", async () => {
  const read = await AutoTokenizer.from_pretrained(demo);
  const tokenizer = await posted(read);
  const messages = [{ role: "user", content: "What is pesto made of?" }];
  const text = tokenizer.apply_chat_template(messages, { tokenize: false });
  assert.is(text, read.apply_chat_template(messages, { tokenize: false }));
  assert.equal(tokenizer.special_tokens_map, read.special_tokens_map);
  assert.equal(tokenizer.all_special_ids, read.all_special_ids);
  assert.equal(tokenizer.settings, read.settings);
  read.pad_token = "</s>";
  read.padding_side = "left";
  read.chat_template = "{{ messages[0].content }}";
  tokenizer.settings = structuredClone(read.settings);
  assert.is(tokenizer.pad_token_id, read.eos_token_id);
  assert.is(tokenizer.apply_chat_template(messages, { tokenize: false }), "What is pesto made of?");
  assert.equal(tokenizer(["a", "b c d"], { padding: true }).attention_mask.tolist(), [
    [
      ...Array(tokenizer.encode("b c d").length - tokenizer.encode("a").length).fill(0),
      ...tokenizer.encode("a").map(() => 1),
    ],
    tokenizer.encode("b c d").map(() => 1),
  ]);
});

test("others run while it is made", async () => {
  let turns = 0;
  const count = setInterval(() => turns++);
  await posted(forms.legacy);
  clearInterval(count);
  assert.ok(turns >= 4, `${turns} turns`);
});

test.run();
