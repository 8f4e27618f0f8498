// Damaged and hostile tokenizer files: each is refused with a TokenizerError that names the part, in little time.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenizerError } from "../../src/errors.ts";
import { renderChatTemplate } from "../../src/text/chat_template.ts";
import { readJSON } from "../../src/text/fields.ts";
import { tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { fields } from "../../src/text/protobuf.ts";
import { fromSentencePieces } from "../../src/text/sentencepiece.ts";
import { chooseTemplate, readConfig } from "../../src/text/special_tokens.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerJSON } from "../../src/text/tokenizer_json.ts";
import { readTokenizerModel } from "../../src/text/tokenizer_model.ts";
import { demo } from "../fixtures.ts";

const refuses = (call: () => unknown, pattern: RegExp) => {
  try {
    call();
  } catch (error) {
    assert.instance(error, TokenizerError);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`expected ${pattern}`);
};

const fresh = (): any => JSON.parse(readFileSync(join(demo, "tokenizer.json"), "utf8"));
const sequence = (part: object, key: string, depth: number): object =>
  depth === 0 ? part : { type: "Sequence", [key]: [sequence(part, key, depth - 1)] };

const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
const pretokenizers = (...parts: object[]) => ({ type: "Sequence", pretokenizers: parts });

test("tokenizer.json: parts that are wrong or not supported are named", () => {
  const cases: [(file: any) => void, RegExp][] = [
    [(f) => (f.model = null), /model: expected an object, found null/],
    [(f) => (f.model.type = "Unigram"), /model.type: expected "BPE", found "Unigram"/],
    [(f) => (f.model.dropout = 0.1), /model.dropout: expected none, found 0.1/],
    [(f) => (f.model.ignore_merges = 1), /model.ignore_merges: expected true or false, found 1/],
    [(f) => (f.model.end_of_word_suffix = "</w>"), /model.end_of_word_suffix: expected none/],
    [(f) => (f.model.continuing_subword_prefix = "##"), /model.continuing_subword_prefix: expected none/],
    [(f) => (f.model.vocab = []), /model.vocab: expected an object, found a list of 0/],
    [(f) => (f.model.vocab.new = -1), /model.vocab\["new"\]: expected a whole number from 0 to 16777215, found -1/],
    [(f) => (f.model.vocab.new = 2 ** 31), /found 2147483648/],
    [(f) => (f.model.vocab.new = 1.5), /found 1.5/],
    [(f) => (f.model.vocab.new = "7"), /found "7"/],
    [(f) => (f.model.vocab.new = 5), /expected an id of its own, not that of "<0x02>", found 5/],
    [(f) => delete f.model.vocab["<0x41>"], /expected a token for each of the 256 bytes, <0x41> is missing/],
    [(f) => (f.model.unk_token = "<none>"), /model.unk_token: expected a token of model.vocab/],
    [(f) => (f.model.merges = "a b"), /model.merges: expected a list/],
    [(f) => (f.model.merges[3] = ["a"]), /model.merges\[3\]: expected two tokens, found a list of 1/],
    [(f) => (f.model.merges[3] = "a b c"), /model.merges\[3\]: expected two tokens, found "a b c"/],
    [(f) => (f.model.merges[3] = [1, 2]), /model.merges\[3\]: expected two tokens/],
    [(f) => (f.model.merges[3] = ["q", "zq"]), /model.merges\[3\] needs the token "zq", which model.vocab lacks/],
    [(f) => (f.added_tokens = {}), /added_tokens: expected a list, found an object/],
    [(f) => (f.added_tokens[0].id = "0"), /added_tokens\[0\].id: expected a whole number/],
    [(f) => (f.added_tokens[0].content = 5), /added_tokens\[0\].content: expected a string, found 5/],
    [(f) => (f.padding = { direction: "Left" }), /padding.pad_token: expected a string, found nothing/],
    [(f) => (f.truncation = { direction: 5 }), /truncation.direction: expected a string, found 5/],
    [(f) => (f.added_tokens[0].special = "yes"), /added_tokens\[0\].special: expected true or false, found "yes"/],
    [(f) => (f.normalizer = { type: "NFKC" }), /normalizer.type: expected Sequence, Prepend or Replace, found "NFKC"/],
    [
      (f) => (f.normalizer = { type: "Replace", pattern: { Regex: "(a+)+$" }, content: "" }),
      /normalizer.pattern: expected a String, not empty/,
    ],
    [
      (f) => (f.normalizer = { type: "Replace", pattern: { String: "" }, content: "a" }),
      /normalizer.pattern: expected a String, not empty/,
    ],
    [
      (f) => (f.normalizer = sequence({ type: "Prepend", prepend: "▁" }, "normalizers", 5)),
      /expected at most 4 levels of Sequence/,
    ],
    [
      (f) => (f.pre_tokenizer = { type: "Digits" }),
      /pre_tokenizer.type: expected Metaspace alone, Split or ByteLevel, found "Digits"/,
    ],
    [(f) => (f.pre_tokenizer = { type: "ByteLevel" }), /pre_tokenizer.add_prefix_space: expected false, found true/],
    [
      (f) => (f.pre_tokenizer = { type: "ByteLevel", add_prefix_space: false }),
      /pre_tokenizer.use_regex: expected false, found true/,
    ],
    [(f) => (f.pre_tokenizer = pretokenizers(bytes, bytes)), /pretokenizers\[1\]: expected nothing behind ByteLevel/],
    [(f) => (f.pre_tokenizer = pretokenizers({ type: "Metaspace" }, bytes)), /found "Metaspace"/],
    [
      (f) => (f.pre_tokenizer = { ...split("a"), pattern: { String: "a" } }),
      /pre_tokenizer.pattern: expected a Regex, found an object/,
    ],
    [
      (f) => (f.pre_tokenizer = { ...split("a"), behavior: "MergedWithNext" }),
      /pre_tokenizer.behavior: expected Isolated, or Removed with invert, found "MergedWithNext"/,
    ],
    [(f) => (f.pre_tokenizer = split("(?i:'s)")), /pre_tokenizer.pattern: "\(\?i" is not supported, at character 1 of/],
    [
      (f) => (f.pre_tokenizer = { type: "Metaspace", replacement: "" }),
      /pre_tokenizer.replacement: expected one character/,
    ],
    [
      (f) => (f.pre_tokenizer = { type: "Metaspace", prepend_scheme: "last" }),
      /prepend_scheme: expected first, always or never, found "last"/,
    ],
    [(f) => (f.post_processor = { type: "BertProcessing" }), /post_processor.type: expected TemplateProcessing/],
    [
      (f) => (f.post_processor = { type: "Sequence", processors: [bytes, f.post_processor, f.post_processor] }),
      /processors\[2\]: expected one post-processor beside ByteLevel/,
    ],
    [
      (f) => (f.post_processor.special_tokens = {}),
      /post_processor.single\[0\]: expected a name of special_tokens, found "<s>"/,
    ],
    [(f) => (f.post_processor.special_tokens["<s>"].ids = [2]), /id of <s>: expected 1, found 2/],
    [(f) => (f.post_processor.single[1].Sequence.id = "C"), /Sequence.id: expected A or B, found "C"/],
    [
      (f) => (f.post_processor.single[1] = { Text: {} }),
      /post_processor.single\[1\]: expected a SpecialToken or a Sequence/,
    ],
    [(f) => (f.decoder = null), /decoder: expected ByteLevel, or a Sequence that holds Fuse, found none/],
    [
      (f) => (f.decoder = { type: "WordPiece" }),
      /decoder.type: expected Sequence, Replace, ByteFallback, Fuse, Strip, or ByteLevel alone, found "WordPiece"/,
    ],
    [(f) => f.decoder.decoders.reverse(), /expected/],
    [(f) => (f.decoder.decoders[3].stop = 1), /stop: expected 0, found 1/],
    [(f) => (f.decoder.decoders[3].content = "ab"), /content: expected one character/],
  ];
  for (const [spoil, pattern] of cases) {
    const file = fresh();
    spoil(file);
    refuses(() => readTokenizerJSON(file, "tokenizer.json"), pattern);
  }
  console.log(`\n# ${cases.length} damaged tokenizer.json refused by name`);
});

test("JSON that is none, is nested without end or has a key twice", () => {
  const parse = (text: string) => readJSON(new TextEncoder().encode(text), "tokenizer.json");
  refuses(() => parse("{"), /tokenizer.json: expected JSON/);
  refuses(() => parse("[".repeat(1_000_000)), /nested deeper/);
  refuses(() => parse('{"a": 1, "a": 2}'), /key "a" stands twice/);
  refuses(() => readJSON(Uint8Array.of(0x7b, 0xff, 0x7d), "tokenizer.json"), /not UTF-8/);
});

test("what a file names reaches a terminal in printable characters alone, cut short", () => {
  const name = `\u202e\x1b[31m${"x".repeat(1000)}`;
  const spoiled: ((file: any) => void)[] = [
    (f) => (f.model.vocab[name] = -1),
    (f) => (f.model.vocab[name] = 5),
    (f) => (f.model.unk_token = name),
    (f) => (f.model.merges[3] = ["q", name]),
    (f) => (f.model.merges[3] = name),
    (f) => (f.added_tokens[0].special = name),
    (f) => (f.pre_tokenizer = { type: name }),
    (f) => (f.decoder = { type: name }),
    (f) => (f.post_processor = { type: "TemplateProcessing", single: [{ SpecialToken: { id: name } }], pair: [] }),
  ];
  const vocabulary = readTokenizerJSON(fresh(), "f");
  const model = {
    source: "f",
    rule: "sentencepiece" as const,
    pieces: [name],
    scores: [0],
    kinds: [1],
    add_dummy_prefix: true,
    bos_id: undefined,
    eos_id: undefined,
  };
  const files = { tokenizer_config: { json: { padding_side: name }, source: "f" } };
  const calls: (() => unknown)[] = [
    ...spoiled.map((spoil) => () => {
      const file = fresh();
      spoil(file);
      readTokenizerJSON(file, "f");
    }),
    () => fromSentencePieces({ ...model, kinds: [9] }),
    () => fromSentencePieces({ ...model, scores: [Number.NaN] }),
    () => tokenizer_from_gguf(new Map([["tokenizer.ggml.model", name]]), "f"),
    () => readConfig(files, vocabulary),
    () => Object.assign(new Tokenizer(vocabulary, readConfig({}, vocabulary)), { pad_token: name }),
    () => chooseTemplate({ [name]: "" }, undefined, false, "f"),
    ...[`{{ 1 | ${"x".repeat(1000)} }}`, `{{ "" in "${name}" + 1 }}`, `{{ {}["${name}"].x }}`, `{{ ${name} }}`].map(
      (template) => () => renderChatTemplate(template, [{ role: "user", content: "" }], {}),
    ),
  ];
  for (const call of calls)
    try {
      call();
      assert.unreachable(`not refused: ${call}`);
    } catch (error) {
      assert.instance(error, TokenizerError);
      assert.match((error as Error).message, /^[\p{L}\p{N}\p{P}\p{S} ]{1,300}$/u);
    }
});

test("names that objects inherit are tokens like others", () => {
  const file = fresh();
  for (const [i, name] of ["constructor", "toString", "hasOwnProperty"].entries()) file.model.vocab[name] = 2000 + i;
  file.added_tokens.push({ id: 3000, content: "valueOf", special: false, normalized: false });
  const vocabulary = readTokenizerJSON(file, "tokenizer.json");
  const tokenizer = new Tokenizer(vocabulary, readConfig({}, vocabulary));
  assert.is(tokenizer.convert_tokens_to_ids("toString"), 2001);
  // The next id by the number of tokens, whatever the file says: as in tokenizers.
  assert.equal(tokenizer.encode("valueOf", { add_special_tokens: false }), [1539]);
  file.post_processor.single[0].SpecialToken.id = "constructor";
  refuses(() => readTokenizerJSON(file, "tokenizer.json"), /expected a name of special_tokens, found "constructor"/);
});

test("many literals that begin alike cost no more than the text they stand in", () => {
  const file = fresh();
  for (let i = 0; i < 2000; i++)
    file.added_tokens.push({ id: 2000 + i, content: `${"<".repeat(300)}${i}`, special: false, normalized: false });
  const vocabulary = readTokenizerJSON(file, "tokenizer.json");
  const tokenizer = new Tokenizer(vocabulary, readConfig({}, vocabulary));
  const start = performance.now();
  tokenizer.encode("<".repeat(100_000));
  assert.ok(performance.now() - start < 5000);
});

const around = { add_bos_token: true, add_eos_token: false };
const model = readFileSync(join(demo, "tokenizer.model"));
const load_model = (bytes: Uint8Array) => {
  const vocabulary = fromSentencePieces(readTokenizerModel(bytes, "tokenizer.model", around));
  return new Tokenizer(vocabulary, readConfig({}, vocabulary));
};

/** A protocol buffers field with a length. */
const field = (number: number, ...bytes: number[]): number[] => [number * 8 + 2, ...varint(bytes.length), ...bytes];
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
const text = (value: string): number[] => [...new TextEncoder().encode(value)];

test("tokenizer.model: settings and pieces that are wrong or not supported are named", () => {
  const bpe = field(2, 3 * 8, 2);
  const plain = field(3, 4 * 8, 0);
  const piece = (value: string, ...more: number[]) => field(1, ...field(1, ...text(value)), ...more);
  const cases: [number[], RegExp][] = [
    [[], /expected a SentencePiece model, found no pieces/],
    [text("version https://git-lfs.github.com/spec/v1"), /expected a protocol buffers message/],
    [[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], /a field of 4294967295 bytes ends past the message/],
    [[0x0a, ...Array(11).fill(0xff)], /more than ten bytes/],
    [[0x0a], /a number ends past the message/],
    [[0x03], /a field numbered 0/],
    [[0x0b], /wire type 3/],
    [[...piece("a"), ...plain], /model_type \(2 is BPE\): expected 2, found 1/],
    [[...piece("a"), ...bpe], /remove_extra_whitespaces: expected 0, found 1/],
    [[...piece("a"), ...bpe, ...field(3, 4 * 8, 0, 5 * 8, 0)], /escape_whitespaces: expected 1, found 0/],
    [
      [...piece("a"), ...bpe, ...field(3, 4 * 8, 0, ...field(2, 1, 2, 3))],
      /precompiled_charsmap, bytes: expected 0, found 3/,
    ],
    [
      [...piece("a"), ...field(2, 3 * 8, 2, 0xc0, 0x01, 1), ...plain],
      /treat_whitespace_as_suffix: expected 0, found 1/,
    ],
    [[...piece(""), ...bpe, ...plain], /piece 0 "": expected some text/],
    [[...piece("a"), ...piece("a"), ...bpe, ...plain], /piece 1 "a": expected each piece once, piece 0 is the same/],
    [[...piece("a", 3 * 8, 9), ...bpe, ...plain], /piece 0 "a": expected kind 1 to 5.*found kind 9/],
    [[...piece("a", 3 * 8, 6), ...bpe, ...plain], /found kind 6/],
    [[...piece("<0x41>", 3 * 8, 6), ...bpe, ...plain], /each of the 256 bytes, <0x00> is missing/],
    [[...piece("a", 2 * 8 + 5, 0, 0, 0xc0, 0x7f), ...bpe, ...plain], /piece 0 "a": expected a finite score, found NaN/],
    [[...piece("a".repeat(2000)), ...bpe, ...plain], /piece 0: expected at most 1024 characters, found 2000/],
    [[...field(1, ...field(1, 0xff)), ...bpe, ...plain], /piece 0: expected UTF-8/],
  ];
  for (const [bytes, pattern] of cases) refuses(() => load_model(Uint8Array.from(bytes)), pattern);
  assert.is(load_model(Uint8Array.from([...piece("a"), ...bpe, ...plain])).vocab_size, 1);
});

test("tokenizer.model cut or changed anywhere is refused or read, never worse", () => {
  let state = 1;
  const random = (below: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % below;
  let refused = 0;
  const attempt = (bytes: Uint8Array) => {
    try {
      load_model(bytes).encode("Basil pesto 🦩");
    } catch (error) {
      assert.instance(error, TokenizerError);
      refused++;
    }
  };
  for (let i = 0; i < 150; i++) attempt(model.subarray(0, random(model.length)));
  for (let i = 0; i < 250; i++) {
    const changed = Uint8Array.from(model);
    for (let k = 0; k <= random(4); k++) changed[random(changed.length)] = random(256);
    attempt(changed);
  }
  console.log(`# 400 spoiled tokenizer.model: ${refused} refused, ${400 - refused} read`);
  assert.ok(refused > 100);
});

test("a protocol buffers length takes no memory", () => {
  refuses(() => [...fields(Uint8Array.from([0x0a, ...varint(2 ** 45), 1]), "x")], /ends past the message/);
});

test("GGUF metadata of the wrong kinds is refused by key", () => {
  const base = (): Map<string, unknown> =>
    new Map<string, unknown>([
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "▁", "a", "▁a"]],
      ["tokenizer.ggml.scores", Float32Array.of(0, 0, 0, -2, -3, -1)],
      ["tokenizer.ggml.token_type", Int32Array.of(2, 3, 3, 1, 1, 1)],
      ["tokenizer.ggml.bos_token_id", 1],
    ]);
  const good = tokenizer_from_gguf(base(), "x.gguf");
  assert.equal(good.encode("a a"), [1, 5, 5]);
  const untyped = base();
  untyped.delete("tokenizer.ggml.token_type");
  untyped.set("tokenizer.ggml.unknown_token_id", 0);
  assert.equal(tokenizer_from_gguf(untyped, "x.gguf").encode("abb a<s>"), [1, 5, 0, 5, 1]);
  const cases: [string, unknown, RegExp][] = [
    ["model", "bert", /tokenizer.ggml.model: expected "llama" \(SentencePiece\) or "gpt2" \(Tekken\), found "bert"/],
    ["model", "gpt2", /tokenizer.ggml.pre: expected "tekken" for a model "gpt2", found nothing/],
    ["model", undefined, /found nothing/],
    ["tokens", undefined, /tokens: expected tokens, found none/],
    ["tokens", 5, /tokens: expected an array of strings, found number/],
    ["tokens", [1, 2], /tokens\[0\]: expected a string, found number/],
    ["scores", Float32Array.of(1), /scores: expected one value for each of 6 tokens, found 1/],
    ["scores", ["a", "b", "c", "d", "e", "f"], /scores: expected numbers only/],
    ["token_type", Int32Array.of(2, 3, 3, 1, 1), /token_type: expected one value for each of 6 tokens, found 5/],
    ["token_type", Int32Array.of(2, 3, 3, 1, 1, 6), /piece 5 "▁a": expected kind 1 to 5, or 6.*found kind 6/],
    ["bos_token_id", "1", /bos_token_id: expected a number, found "1" in x.gguf/],
    ["add_bos_token", 1, /add_bos_token: expected true or false, found number/],
  ];
  for (const [key, value, pattern] of cases) {
    const metadata = base();
    if (value === undefined) metadata.delete(`tokenizer.ggml.${key}`);
    else metadata.set(`tokenizer.ggml.${key}`, value);
    refuses(() => tokenizer_from_gguf(metadata, "x.gguf"), pattern);
  }
  const template = base();
  template.set("tokenizer.chat_template", 5);
  refuses(() => tokenizer_from_gguf(template, "x.gguf"), /tokenizer.chat_template: expected a string, found 5/);
  template.set("tokenizer.chat_template", "A");
  template.set("tokenizer.chat_template.short", "B");
  assert.equal(tokenizer_from_gguf(template, "x.gguf").chat_template, { default: "A", short: "B" });
});

test.run();
