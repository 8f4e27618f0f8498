// A folder's tokenizer in a GGUF: what llama.cpp's converter writes of the same files (the vocab.gguf beside them), and the
// same ids as the folder's own.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { TokenizerError } from "../../src/errors.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { vocabularyMetadata } from "../../src/quantize/vocabulary.ts";
import { loadTokenizer, tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { failure } from "../failure.ts";
import { fixture, hasFixture, json, root } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

const plain = (value: unknown) => (ArrayBuffer.isView(value) ? Array.from(value as unknown as number[]) : value);

async function written(path: string): Promise<Map<string, unknown>> {
  const file = await (await currentPlatform()).open(path);
  const { metadata } = await readGGUF(file);
  await file.close();
  return new Map(
    [...metadata].filter(([key]) => key.startsWith("tokenizer.")).map(([key, value]) => [key, plain(value)]),
  );
}

const made = async (repository: Repository, size: number) =>
  new Map<string, unknown>((await vocabularyMetadata(repository, size)).map(([key, , value]) => [key, plain(value)]));

/** Without what llama.cpp takes for granted, which converters may write or not. */
function equal(ours: Map<string, unknown>, theirs: Map<string, unknown>, but: readonly string[], what: string): void {
  const keys = (map: Map<string, unknown>) => [...map.keys()].filter((key) => !but.includes(key)).sort();
  assert.equal(keys(ours), keys(theirs), what);
  for (const key of keys(theirs)) assert.equal(ours.get(key), theirs.get(key), `${what}: ${key}`);
}

const mixtral = (name: string) => readFileSync(fixture(`tokenizers/mixtral/${name}`));

test("Mixtral's: from tokenizer.model all that the converter writes, from tokenizer.json the same ids", async () => {
  const theirs = await written(fixture("tokenizers/mixtral/vocab.gguf"));
  const config = { "tokenizer_config.json": mixtral("tokenizer_config.json") };
  const model = memoryFiles({ "tokenizer.model": mixtral("tokenizer.model"), ...config });
  const but = ["tokenizer.ggml.pre", "tokenizer.ggml.add_space_prefix", "tokenizer.chat_template"];
  equal(await made(model, 32000), theirs, but, "tokenizer.model");
  const folder = memoryFiles({ "tokenizer.json": mixtral("tokenizer.json"), ...config });
  const [own, ours] = [await loadTokenizer(folder), tokenizer_from_gguf(await made(folder, 32000), "made.gguf")];
  const { cases } = json("tokenizers/mixtral/encode.json");
  assert.is(cases.length, 205);
  for (const { text } of cases)
    for (const split_special_tokens of [false, true])
      assert.equal(ours.encode(text, { split_special_tokens }), own.encode(text, { split_special_tokens }), text);
});

if (hasFixture("tokenizers/tekken"))
  test("Tekken's, of each of its files: the converter's tokens, kinds and merges", async () => {
    const read = (name: string) => readFileSync(fixture(`tokenizers/tekken/${name}`));
    const theirs = await written(fixture("tokenizers/tekken/vocab.gguf"));
    const own = ["tokenizer.ggml.add_space_prefix"];
    equal(await made(memoryFiles({ "tekken.json": read("tekken.json") }), 8000), theirs, own, "tekken.json");
    const published = {
      "tokenizer.json": read("tokenizer.json"),
      "tokenizer_config.json": read("tokenizer_config.json"),
    };
    const ours = await made(memoryFiles(published), 8000);
    // A tokenizer.json has no scores, and no version.
    equal(ours, theirs, [...own, "tokenizer.ggml.scores", "tokenizer.chat_template"], "tokenizer.json");
    assert.is(ours.get("tokenizer.ggml.add_space_prefix"), false);
    const tokenizer = tokenizer_from_gguf(ours, "made.gguf");
    const { cases } = json("tokenizers/tekken/encode.json");
    assert.is(cases.length, 215);
    for (const { text, ids_special, name } of cases)
      assert.equal(tokenizer.encode(text, { split_special_tokens: true }), ids_special, name);
  });

test("a cut of Tekken that every clone has: the ids of its files", async () => {
  const read = (name: string) => readFileSync(`${root}/tests/text/tekken_small/${name}`);
  for (const name of ["tekken.json", "tokenizer.json"]) {
    const folder = memoryFiles({ [name]: read(name) });
    const own = await loadTokenizer(folder);
    const metadata = await made(folder, own.vocab_size + 3);
    const ours = tokenizer_from_gguf(metadata, "made.gguf");
    assert.is((metadata.get("tokenizer.ggml.tokens") as string[]).at(-1), `[PAD${own.vocab_size + 2}]`);
    for (const text of ["What is pesto made of?", "  two\n\n\tlines ", "ÀÉ é naïve 12345", "日本 🦙", "[INST] <s>"])
      assert.equal(
        ours.encode(text, { split_special_tokens: true }),
        own.encode(text, { split_special_tokens: true }),
        `${name}: ${text}`,
      );
  }
});

test("what GGUF has no form for is refused by name", async () => {
  const file = JSON.parse(readFileSync(`${root}/tests/text/tekken_small/tokenizer.json`, "utf8"));
  const refused = async (repository: Repository, size: number, message: RegExp) => {
    const error = await failure(vocabularyMetadata(repository, size));
    assert.instance(error, TokenizerError);
    assert.match(error.message, message);
  };
  const other = structuredClone(file);
  other.pre_tokenizer.pretokenizers[0].pattern.Regex = "\\p{L}+|\\s+";
  await refused(
    memoryFiles({ "tokenizer.json": JSON.stringify(other) }),
    2 ** 20,
    /expected Tekken's pattern, for which/,
  );
  await refused(
    memoryFiles({ "tokenizer.json": JSON.stringify(file) }),
    100,
    /expected ids below 100, the rows of the emb/,
  );
  await refused(
    memoryFiles({ "config.json": "{}" }),
    100,
    /expected tokenizer.model, tokenizer.json or tekken.json, found/,
  );
});

test.run();
