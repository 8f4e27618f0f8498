// Decoding against Hugging Face, whole and as a stream.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { json } from "../fixtures.ts";
import { forms, sources } from "./sources.ts";

type EncodeCase = Record<
  "legacy" | "metaspace_first",
  { ids_special: number[]; decode_skip: string; decode_keep: string }
>;
const all = { ...sources, metaspace_first: forms.metaspace_first };

test("414 sequences of ids, broken byte runs among them", () => {
  const { cases } = json("tokenizers/mixtral/decode.json");
  assert.is(cases.length, 414);
  for (const [source, tokenizer] of Object.entries(all))
    for (const c of cases) {
      assert.is(tokenizer.decode(c.ids, { skip_special_tokens: true }), c.skip, `${source}: ${c.name}`);
      assert.is(tokenizer.decode(c.ids), c.keep, `${source}, with special tokens: ${c.name}`);
    }
});

test("the ids of every text of encode.json", () => {
  const { cases } = json("tokenizers/mixtral/encode.json");
  for (const [source, tokenizer] of Object.entries(all)) {
    const form = source === "metaspace_first" ? "metaspace_first" : "legacy";
    const rows = cases.map((c: EncodeCase) => c[form].ids_special);
    assert.equal(
      tokenizer.batch_decode(rows, { skip_special_tokens: true }),
      cases.map((c: EncodeCase) => c[form].decode_skip),
      source,
    );
    assert.equal(
      tokenizer.batch_decode(rows),
      cases.map((c: EncodeCase) => c[form].decode_keep),
      source,
    );
  }
});

test("streams: what is certain, and what is given at once", () => {
  const { cases } = json("tokenizers/mixtral/stream.json");
  let eager = 0;
  for (const [source, tokenizer] of Object.entries(all))
    for (const c of cases) {
      const pieces = (certain: boolean) => {
        const stream = tokenizer.decode_stream({ skip_special_tokens: c.skip, certain });
        return [...c.ids.map((id: number) => stream.push(id)), stream.end()];
      };
      assert.equal(pieces(true), c.certain, `${source}: ${c.name}`);
      assert.is(c.certain.join(""), c.text);
      if (c.if_valid === null) continue;
      assert.equal(pieces(false), c.if_valid, `${source}, eager: ${c.name}`);
      eager++;
    }
  console.log(`\n# ${eager} of ${4 * cases.length} streams have an eager form`);
});

test("no piece of a stream splits a surrogate pair", () => {
  const tokenizer = forms.legacy;
  const stream = tokenizer.decode_stream();
  const lone = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
  for (const id of tokenizer.encode("🦩 and 👩‍👩‍👧‍👦, 𝔘 🏴󠁧󠁢󠁳󠁣󠁴󠁿")) assert.not.match(stream.push(id), lone);
});

test("an eager run that breaks says U+FFFD only for bytes that it has not said", () => {
  const stream = forms.legacy.decode_stream();
  const run = [0xc3, 0xa9, 0xff].map((byte) => byte + 3);
  assert.equal([...run.map((id) => stream.push(id)), stream.end()], ["", "é", "", "\ufffd"]);
  assert.is(forms.legacy.decode(run), "\ufffd\ufffd\ufffd");
});

test("surrogates and overlong forms are no UTF-8: every byte of their run is U+FFFD", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const runs = [
    [0xed, 0xa0, 0x80], // U+D800
    [0xed, 0xbf, 0xbf], // U+DFFF
    [0xed, 0x9f, 0xbf], // U+D7FF, the last before them
    [0xee, 0x80, 0x80],
    [0xe0, 0x9f, 0xbf], // U+7FF in three bytes
    [0xe0, 0xa0, 0x80],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf0, 0x90, 0x80, 0x80],
    [0xf4, 0x8f, 0xbf, 0xbf], // U+10FFFF
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xc1, 0xbf],
    [0xc2, 0x80],
    [0xdf, 0xbf],
    [0x80],
    [0x7f],
    [0xe2, 0x82, 0x7f],
    [0xe2, 0xc0, 0x82],
  ];
  let broken = 0;
  for (const run of runs) {
    const bytes = [0x41, ...run];
    let expected: string;
    try {
      expected = decoder.decode(Uint8Array.from(bytes));
    } catch {
      expected = "\ufffd".repeat(bytes.length);
      broken++;
    }
    assert.is(forms.legacy.decode(bytes.map((byte) => byte + 3)), expected, run.map((b) => b.toString(16)).join(" "));
  }
  assert.is(broken, 10);
});

test.run();
