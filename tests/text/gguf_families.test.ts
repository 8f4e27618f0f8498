// GGUF vocabularies as converters and fine-tunes leave them: ids, special tokens and ends, all as llama.cpp has them.
// gguf_families.json is what it makes of them; make_gguf_families.mjs wrote it. Two things differ on purpose, and are not
// among the texts: in files without token types, `<s>` and `<unk>` are found in a text (llama.cpp puts `<s>` before a
// conversation itself); and what there is no token and no byte token for is the unknown token, where llama.cpp fails.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ggufGenerationConfig } from "../../src/checkpoint/gguf_config.ts";
import { tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { root } from "../fixtures.ts";
import { families } from "./gguf_families.ts";

interface Expected {
  /** Null where it is not told, since the token is none of kind control. */
  bos: number | null;
  eos: number | null;
  /** Whether bos and eos are put around a text. */
  around: [boolean, boolean];
  eog: number[];
  /** Of each text, without what stands around it. */
  ids: string[];
}

const made = families();
const expected: Record<string, Expected> = JSON.parse(
  readFileSync(join(root, "tests", "text", "gguf_families.json"), "utf8"),
).families;

test("every family has its values, and is there once", () => {
  assert.equal(
    made.map(({ name }) => name),
    Object.keys(expected),
  );
  assert.equal([made.length, made.flatMap(({ texts }) => texts).length], [132, 1320]);
});

for (const { name, pairs, texts } of made)
  test(name, () => {
    const { around, eog, ids } = expected[name];
    const metadata = new Map(pairs.map(([key, , value]) => [key, value]));
    const tokenizer = tokenizer_from_gguf(metadata, "x.gguf");
    const bos = expected[name].bos ?? tokenizer.bos_token_id;
    const eos = expected[name].eos ?? tokenizer.eos_token_id;
    assert.equal([tokenizer.bos_token_id, tokenizer.eos_token_id], [bos, eos], "bos, eos");
    const { bos_token_id, eos_token_id } = ggufGenerationConfig(metadata, "x.gguf");
    assert.is(bos_token_id, bos);
    const ends = [eos_token_id as number | number[]].flat();
    assert.equal(ends.toSorted(ascending), eog, "ends");
    if (eog.includes(eos!)) assert.is(ends[0], eos, "eos is the first end");
    for (const [i, text] of texts.entries()) {
      const found = tokenizer.encode(text, { add_special_tokens: false });
      assert.is(found.join(" "), ids[i], JSON.stringify(text));
      const whole = [...(around[0] ? [bos] : []), ...found, ...(around[1] ? [eos] : [])];
      assert.equal(tokenizer.encode(text), whole, `${JSON.stringify(text)}, special tokens`);
    }
  });

test("many literals cost no more than the text they stand in", () => {
  const characters = Array.from({ length: 10_000 }, (_, i) => String.fromCharCode(0x4e00 + i));
  const metadata = new Map<string, unknown>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", ...characters]],
    ["tokenizer.ggml.token_type", Int32Array.of(2, 3, 3, ...characters.map(() => 4))],
  ]);
  const tokenizer = tokenizer_from_gguf(metadata, "x.gguf");
  const start = performance.now();
  assert.is(tokenizer.encode(characters.join("").repeat(10)).length, 100_001);
  assert.ok(performance.now() - start < 10_000);
});

const ascending = (a: number, b: number): number => a - b;

test.run();
