// Encoding against Hugging Face's tokenizers (both forms of tokenizer.json) and SentencePiece (tokenizer.model, GGUF).
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fixture, json } from "../fixtures.ts";
import { forms, sources } from "./sources.ts";

const { cases } = json("tokenizers/mixtral/encode.json");

test("both forms of tokenizer.json give Hugging Face's ids", () => {
  for (const [form, tokenizer] of Object.entries(forms))
    for (const c of cases) {
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c[form].ids, `${form}: ${c.name}`);
      assert.equal(tokenizer.encode(c.text), c[form].ids_special, `${form}, special tokens: ${c.name}`);
    }
});

test("all three sources give the ids of the first form, and SentencePiece's where no literal stands in the text", () => {
  let against_spm = 0;
  for (const [source, tokenizer] of Object.entries(sources))
    for (const c of cases) {
      const ids = tokenizer.encode(c.text, { add_special_tokens: false });
      assert.equal(ids, c.legacy.ids, `${source}: ${c.name}`);
      assert.equal(tokenizer.encode(c.text), c.legacy.ids_special, `${source}: ${c.name}`);
      if (/<s>|<\/s>|<unk>/.test(c.text)) continue;
      assert.equal(ids, c.spm, `${source}, SentencePiece: ${c.name}`);
      against_spm++;
    }
  assert.ok(against_spm > 3 * 150);
});

test("600 random texts", () => {
  const lines = readFileSync(fixture("tokenizers/mixtral/stress.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.is(lines.length, 600);
  for (const line of lines) {
    for (const [source, tokenizer] of Object.entries(sources))
      assert.equal(
        tokenizer.encode(line.text, { add_special_tokens: false }),
        line.ids,
        `${source}: ${JSON.stringify(line.text)}`,
      );
    assert.equal(
      forms.metaspace_first.encode(line.text, { add_special_tokens: false }),
      line.metaspace_first ?? line.ids,
      JSON.stringify(line.text),
    );
  }
});

test("texts with literals on which SentencePiece differs", () => {
  for (const c of json("tokenizers/mixtral/stress_differ.json").cases)
    for (const [source, tokenizer] of Object.entries(sources))
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c.legacy, `${source}: ${c.text}`);
});

test("the probes of cases.json, and their decoding", () => {
  const probes = json("tokenizers/mixtral/cases.json");
  for (const [source, tokenizer] of Object.entries(sources)) {
    for (const c of probes.cases) {
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c.hf_legacy, `${source}: ${c.text}`);
      assert.is(tokenizer.decode(c.hf_legacy), c.decode_hf, `${source}: ${c.text}`);
    }
    for (const c of probes.with_specials)
      assert.equal(tokenizer.encode(c.text, { add_special_tokens: false }), c.hf_legacy, `${source}: ${c.text}`);
  }
});

test("time grows with the text, not with its square", () => {
  const tokenizer = sources["tokenizer.model"];
  const prose = cases.map((c: { text: string }) => c.text).join("\n");
  const texts: Record<string, string> = {
    "1 MiB of mixed text": prose.repeat(Math.ceil(2 ** 20 / prose.length)).slice(0, 2 ** 20),
    "100,000 times a": "a".repeat(100_000),
    "100,000 spaces": " ".repeat(100_000),
    "100,000 times 🦩": "🦩".repeat(100_000),
    "50,000 literals": "<s>".repeat(50_000),
  };
  for (const [name, text] of Object.entries(texts)) {
    const start = performance.now();
    const ids = tokenizer.encode(text, { add_special_tokens: false });
    const seconds = (performance.now() - start) / 1000;
    console.log(`\n# ${name}: ${ids.length} ids in ${seconds.toFixed(2)} s`);
    assert.ok(seconds < 5, `${name}: ${seconds} s`);
  }
});

test("half a surrogate pair is read as U+FFFD", () => {
  for (const tokenizer of Object.values(sources))
    assert.equal(tokenizer.encode("a\ud83e b\udda9"), tokenizer.encode("a\ufffd b\ufffd"));
});

test.run();
