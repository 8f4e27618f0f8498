// Tekken, the byte-level BPE of Mistral's dense models, from its three kinds of files: against mistral-common and Hugging
// Face's tokenizers, exactly. tekken_small.json (make_tekken_small.py) holds a small cut, which every clone has.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenizerError } from "../../src/errors.ts";
import { TextOutput } from "../../src/generation/text_output.ts";
import { AutoTokenizer, loadTokenizer, tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { isTekken, readTekken } from "../../src/text/tekken.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture, hasFixture, json, root } from "../fixtures.ts";
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
      // What streamers, model.stream and sessions show.
      for (const c of cases) {
        const output = new TextOutput(tokenizer, { decode: { skip_special_tokens: c.skip } });
        const pieces = [...c.ids.map((id: number) => output.push(id)), output.end()];
        assert.equal(pieces, c.pieces, `${source}: ${c.name}, output`);
      }
    }
  });
}

const small = join(root, "tests", "text", "tekken_small");
const readSmall = (name: string) => JSON.parse(readFileSync(join(small, name), "utf8"));

/** What llama.cpp's converter writes of the small tokenizer.json: the same tokens, kinds and merges. */
function metadata(): Map<string, unknown> {
  const { model, added_tokens } = readSmall("tokenizer.json");
  const tokens = Object.entries<number>(model.vocab).sort((a, b) => a[1] - b[1]);
  const special = new Set(added_tokens.map((token: { id: number }) => token.id));
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "tekken"],
    ["tokenizer.ggml.tokens", tokens.map(([token]) => token)],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, ([, id]) => (special.has(id) ? 3 : 1))],
    ["tokenizer.ggml.merges", model.merges.map((pair: string[]) => pair.join(" "))],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
    ["tokenizer.ggml.padding_token_id", 11],
    ["tokenizer.chat_template", "mistral-v7-tekken"],
  ]);
}

test("a small vocabulary from its three kinds of files", async () => {
  const { texts, decodes } = readSmall("cases.json");
  assert.is(texts.length, 100);
  const sources = {
    "tekken.json": await AutoTokenizer.from_pretrained(join(small, "tekken.json")),
    "tokenizer.json": await AutoTokenizer.from_pretrained(join(small, "tokenizer.json")),
    gguf: tokenizer_from_gguf(metadata(), "small.gguf"),
  };
  for (const [source, tokenizer] of Object.entries(sources)) {
    assert.equal([tokenizer.vocab_size, tokenizer.split_special_tokens], [804, false]);
    for (const { text, ids, literal = ids } of texts) {
      const where = `${source}: ${JSON.stringify(text)}`;
      assert.equal(encode(tokenizer, text, true), ids, where);
      assert.equal(tokenizer.encode(text), [1, ...literal], where);
      assert.is(tokenizer.decode(ids), text.replace(/\p{Cs}/gu, "\ufffd"), where);
    }
    for (const { ids, skip, keep } of decodes) {
      assert.is(tokenizer.decode(ids, { skip_special_tokens: true }), skip, `${source}: ${ids}`);
      assert.is(tokenizer.decode(ids), keep, `${source}: ${ids}`);
      const stream = tokenizer.decode_stream();
      assert.is(ids.map((id: number) => stream.push(id)).join("") + stream.end(), keep, `${source}: ${ids}`);
    }
    assert.equal(tokenizer.tokenize(" thé"), [" th".replace(" ", "Ġ"), "Ã©"]);
    assert.equal([...tokenizer.token_bytes(64 + 0xc3)], [0xc3]);
    assert.equal(
      [...tokenizer.token_bytes(3)],
      [..."[INST]"].map((c) => c.charCodeAt(0)),
    );
  }
  const config = JSON.stringify({ add_bos_token: false, add_eos_token: true });
  const files = { "tekken.json": readFileSync(join(small, "tekken.json")), "tokenizer_config.json": config };
  assert.equal((await loadTokenizer(memoryFiles(files))).encode("a"), [64 + 97, 2]);
  // Roles without a file that tells them; the name of a template is none, and tells the version.
  const { "tekken.json": told, gguf } = sources;
  assert.equal([told.bos_token, told.eos_token, told.unk_token, told.pad_token], ["<s>", "</s>", "<unk>", "<pad>"]);
  assert.equal([gguf.bos_token_id, gguf.eos_token_id, gguf.pad_token_id, gguf.chat_template], [1, 2, 11, undefined]);
  const messages = [{ role: "system", content: "a" }];
  assert.equal(gguf.encode_messages(messages), told.encode_messages(messages, { version: "v7" }));
});

test("what streams show: whole characters, and what is begun in the prompt", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(join(small, "tekken.json"));
  const bytes = (...all: number[]) => all.map((byte) => 64 + byte);
  const stream = tokenizer.decode_stream({ prompt: bytes(0x61, 0xf0, 0x9f) });
  assert.equal([...bytes(0xa6, 0xa9, 0x62).map((id) => stream.push(id)), stream.end()], ["", "🦩", "b", ""]);
});

test("names of special tokens that spell bytes otherwise are text", async () => {
  const file = readSmall("tekken.json");
  file.special_tokens[30].token_str = "é Ġ 字";
  const tokenizer = await loadTokenizer(memoryFiles({ "tekken.json": JSON.stringify(file) }));
  assert.equal(encode(tokenizer, "aé Ġ 字"), [64 + 97, 30]);
  assert.is(tokenizer.decode([30, 64 + 97]), "é Ġ 字a");
  assert.is(tokenizer.decode([30], { skip_special_tokens: true }), "");
});

const around = { add_bos_token: true, add_eos_token: false };

test("what is damaged is named", () => {
  const token = (bytes: string, rank: number) => ({ rank, token_bytes: bytes, token_str: null });
  const cases: [(file: any) => void, RegExp][] = [
    [(f) => delete f.config.version, /config.version: expected a string, found nothing/],
    [(f) => (f.config.version = "newest"), /config.version: expected v1, v2, v3, …, found "newest"/],
    [(f) => (f.config.pattern = 5), /config.pattern: expected a string, found 5/],
    [(f) => (f.config.pattern = "(a|b)"), /config.pattern: "\(a\|" is not supported, at character 1 of "\(a\|b\)"/],
    [(f) => (f.config.default_vocab_size = 845), /expected 64 special tokens and 256 to 780 others, found 845 in all/],
    [(f) => (f.config.default_vocab_size = 319), /config.default_vocab_size: expected 64 special/],
    [(f) => (f.config.default_vocab_size = 2 ** 31), /expected a whole number from 0 to 1048576, found 2147483648/],
    [
      (f) => (f.config.default_num_special_tokens = 39),
      /expected at least the 40 special tokens that have names, found 39/,
    ],
    [(f) => delete f.special_tokens, /special_tokens: expected a list, as in every file after v7, found nothing/],
    [(f) => (f.special_tokens[3].rank = 4), /special_tokens\[3\].rank: expected 3, found 4/],
    [(f) => (f.special_tokens[3].token_str = "<s>"), /special token 3: expected names of their own, 1 is "<s>" too/],
    [(f) => (f.special_tokens[3].token_str = ""), /special_tokens\[3\].token_str: expected a name/],
    [(f) => (f.special_tokens[3].token_str = "x".repeat(1025)), /token_str: expected at most 1024 characters/],
    [(f) => (f.vocab = {}), /vocab: expected a list, found an object/],
    [(f) => (f.vocab[300] = null), /vocab\[300\]: expected an object, found null/],
    [(f) => (f.vocab[300].rank = 299), /vocab\[300\].rank: expected 300, found 299/],
    [(f) => (f.vocab[300] = token("YQ=", 300)), /vocab\[300\].token_bytes: expected bytes in base64, found "YQ="/],
    [(f) => (f.vocab[300] = token("Y*==", 300)), /vocab\[300\].token_bytes: expected bytes in base64/],
    [(f) => (f.vocab[300] = token("", 300)), /vocab\[300\].token_bytes: expected bytes in base64/],
    [(f) => (f.vocab[97] = token("Yg==", 97)), /vocab\[97\].token_bytes: expected the single byte 97, found "Yg=="/],
    [(f) => (f.vocab[301] = { ...f.vocab[300], rank: 301 }), /expected a token of its own, not that of id 364/],
    [
      (f) => (f.vocab[300] = token("PHM+", 300)),
      /vocab\[300\].token_bytes: expected a token of its own, not that of id 1/,
    ],
    [(f) => (f.vocab[300] = token("YWFh".repeat(400), 300)), /piece 364: expected at most 1024 characters, found 1200/],
  ];
  for (const [spoil, pattern] of cases) {
    const file = readSmall("tekken.json");
    spoil(file);
    assert.throws(
      () => readTekken(file, "tekken.json", around),
      (error: unknown) => error instanceof TokenizerError && pattern.test(error.message),
      `${pattern}`,
    );
  }
  // Beyond the vocabulary nothing is looked at, and keys for other tools are theirs.
  const file = { ...readSmall("tekken.json"), audio: {}, multimodal: null };
  file.vocab[760] = "broken";
  assert.is(readTekken(file, "t", around).ids.size, 804);
  assert.ok(isTekken(file) && !isTekken(readSmall("tokenizer.json")) && !isTekken([]));
  const gguf = (key: string, value: unknown, pattern: RegExp) =>
    assert.throws(
      () => tokenizer_from_gguf(new Map([...metadata(), [`tokenizer.ggml.${key}`, value]]), "f"),
      (error: unknown) => error instanceof TokenizerError && pattern.test(error.message),
      `${pattern}`,
    );
  gguf("pre", "llama-bpe", /tokenizer.ggml.pre: expected "tekken" for a model "gpt2", found "llama-bpe"/);
  gguf("merges", ["a"], /tokenizer.ggml.merges\[0\]: expected two tokens, found "a"/);
  gguf("merges", ["a qqq"], /tokenizer.ggml.merges\[0\] needs the token "qqq", which tokenizer.ggml.tokens lacks/);
  gguf("tokens", ["a", "a"], /token 1 "a": expected each token once, token 0 is the same/);
  gguf("tokens", ["a"], /expected a token for each of the 256 bytes, that of 0 is missing/);
});

test("which file of a folder: as transformers chooses, then as mistral-common does", async () => {
  const [tekken, tokenizer] = ["tekken.json", "tokenizer.json"].map((name) => readFileSync(join(small, name)));
  const model = readFileSync(join(root, "models", "demo", "tokenizer.model"));
  const sizes = async (files: Record<string, Uint8Array>) => (await loadTokenizer(memoryFiles(files))).vocab_size;
  assert.is(await sizes({ "tokenizer.json": tokenizer, "tekken.json": model, "tokenizer.model": model }), 804);
  assert.is(await sizes({ "tekken.json": tekken, "tokenizer.model": tokenizer }), 804);
  assert.is(await sizes({ "tokenizer.model": model, "tokenizer.model.v3": tekken }), 1536);
  assert.is(
    await sizes({ "tokenizer.model.v1": tekken, "tokenizer.model.v11": model, "tokenizer.model.v3": tekken }),
    1536,
  );
  assert.is(await sizes({ "tokenizer.model.v7m1": model, "tokenizer.model.v3": tekken }), 1536);
  const named = memoryFiles({ "tekken_240718.json": tekken, "x.model.v2": model }, "tekken_240718.json");
  assert.is((await loadTokenizer(named)).vocab_size, 804);
});

test.run();
