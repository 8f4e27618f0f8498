// Loading from folders and files, and what the files beside a tokenizer say.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenizerError } from "../../src/errors.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { failure } from "../failure.ts";
import { demo, fixture, json } from "../fixtures.ts";

const folder = mkdtempSync(join(tmpdir(), "tokenizer-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A folder with these files; strings are written, others as JSON; `copy` names files of the demo model. */
function files(copy: string[], written: Record<string, unknown>): string {
  const made = mkdtempSync(join(folder, "case-"));
  for (const name of copy) copyFileSync(join(demo, name), join(made, name));
  for (const [name, content] of Object.entries(written))
    writeFileSync(join(made, name), typeof content === "string" ? content : JSON.stringify(content));
  return made;
}

const refused = (pattern: RegExp) => (error: unknown) => error instanceof TokenizerError && pattern.test(error.message);

async function rejects(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (e) => e,
  );
  assert.ok(refused(pattern)(error), `${pattern} expected, found ${error}`);
}

test("the demo model: the same ids from its files, and those of its reference", async () => {
  const sources = [
    await AutoTokenizer.from_pretrained(demo),
    await AutoTokenizer.from_pretrained(demo, { file: "tokenizer.model" }),
  ];
  const gguf = fixture("models/demo/demo-Q8_0.gguf");
  if (existsSync(gguf)) sources.push(await AutoTokenizer.from_pretrained(gguf));
  const { greedy } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
  const { cases } = json("tokenizers/mixtral/encode.json");
  for (const tokenizer of sources) {
    for (const { text } of cases) assert.equal(tokenizer.encode(text), sources[0].encode(text), text);
    for (const c of greedy) {
      let ids = c.input_ids;
      if (c.prompt !== undefined) ids = tokenizer.encode(c.prompt);
      else if (c.messages)
        ids = tokenizer.apply_chat_template(c.messages, { return_dict: false, return_tensor: false });
      assert.equal(ids, c.input_ids, c.name);
      assert.is(tokenizer.decode(c.new_ids, { skip_special_tokens: true }), c.text, c.name);
    }
    assert.equal(
      [
        tokenizer.vocab_size,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.unk_token_id,
        tokenizer.pad_token_id,
      ],
      [1536, 1, 2, 0, undefined],
    );
  }
  assert.is(sources[0].model_max_length, 2048);
  console.log(`\n# ${sources.length} sources of the demo model's tokenizer, ${greedy.length} prompts`);
});

test("tokens, ids and what they are to each other", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(fixture("tokenizers/mixtral/tokenizer.json"));
  assert.equal(
    [tokenizer.vocab_size, tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token, tokenizer.pad_token],
    [32000, "<s>", "</s>", "<unk>", undefined],
  );
  assert.is(tokenizer.model_max_length, Number.POSITIVE_INFINITY);
  assert.equal(tokenizer.all_special_ids, [0, 1, 2]);
  assert.equal(tokenizer.tokenize("Hello world, é 🦩"), [
    "▁Hello",
    "▁world",
    ",",
    "▁é",
    "▁",
    "<0xF0>",
    "<0x9F>",
    "<0xA6>",
    "<0xA9>",
  ]);
  assert.equal(tokenizer.tokenize("a", { add_special_tokens: true }), ["<s>", "▁a"]);
  assert.equal(tokenizer.convert_tokens_to_ids(["▁Hello", "<0x0A>", "no such token"]), [22557, 13, 0]);
  assert.is(tokenizer.convert_tokens_to_ids("</s>"), 2);
  assert.equal(tokenizer.convert_ids_to_tokens([22557, 13, 32000]), ["▁Hello", "<0x0A>", undefined]);
  assert.is(tokenizer.convert_ids_to_tokens(2), "</s>");
  tokenizer.pad_token = tokenizer.eos_token;
  assert.is(tokenizer.pad_token_id, 2);
  tokenizer.pad_token = null;
  assert.is(tokenizer.pad_token_id, undefined);
});

test("decode takes every form of ids", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const inputs = tokenizer("The sea");
  const ids = tokenizer.encode("The sea");
  for (const form of [ids, Int32Array.from(ids), inputs.input_ids, inputs.input_ids[0], [ids]])
    assert.is(tokenizer.decode(form), "<s> The sea");
  assert.equal(tokenizer.batch_decode(inputs.input_ids, { skip_special_tokens: true }), ["The sea"]);
  assert.equal(tokenizer.batch_decode([ids, [1]], { skip_special_tokens: true }), ["The sea", ""]);
});

test("special tokens: special_tokens_map.json, then tokenizer_config.json, then config.json", async () => {
  const config = {
    bos_token: { content: "<s>", lstrip: false },
    pad_token: null,
    padding_side: "left",
    truncation_side: "left",
  };
  const others = {
    "special_tokens_map.json": { pad_token: "<unk>", unk_token: { content: "<unk>" } },
    "config.json": { bos_token_id: 0, eos_token_id: [2, 1] },
  };
  const load = (tokenizer_config: object) =>
    AutoTokenizer.from_pretrained(files(["tokenizer.json"], { "tokenizer_config.json": tokenizer_config, ...others }));
  const roles = (t: Tokenizer) => [t.bos_token, t.eos_token, t.unk_token, t.pad_token];
  const tokenizer = await load(config);
  assert.equal(roles(tokenizer), ["<s>", "</s>", "<unk>", "<unk>"]);
  assert.equal([tokenizer.padding_side, tokenizer.truncation_side], ["left", "left"]);
  // A list of added tokens makes tokenizer_config.json count alone.
  assert.equal(roles(await load({ ...config, added_tokens_decoder: {} })), ["<s>", "</s>", undefined, undefined]);
});

test("what config.json alone names is no literal", async () => {
  const bare = await AutoTokenizer.from_pretrained(files(["tokenizer.json"], {}));
  const path = files(["tokenizer.json"], { "config.json": { pad_token_id: bare.encode("the")[1] } });
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  assert.is(tokenizer.pad_token, "▁the");
  assert.equal(tokenizer.encode("in the sea"), bare.encode("in the sea"));
  assert.is(tokenizer.decode(tokenizer.encode("in the sea"), { skip_special_tokens: true }), "in the sea");
});

test("tokenizer.model and the files of before: tokens have the ids that these give them", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(
    files(["tokenizer.model"], {
      "added_tokens.json": { "<|im_start|>": 1540, "<|im_end|>": 1537, "</s>": 2 },
      "special_tokens_map.json": { eos_token: "<|im_end|>", pad_token: "<pad>" },
    }),
  );
  const [start, end] = [1540, 1537];
  const a = tokenizer.encode("a", { add_special_tokens: false });
  assert.equal(tokenizer.encode("a<|im_start|>a<|im_end|>"), [1, ...a, start, ...a, end]);
  assert.equal([tokenizer.eos_token_id, tokenizer.pad_token_id], [end, 1541]);
  assert.is(tokenizer.decode([start, end, 1541], { skip_special_tokens: true }), "<|im_start|>");
});

test("tokens that only tokenizer_config.json adds", async () => {
  const config = {
    bos_token: "<s>",
    eos_token: "<|im_end|>",
    added_tokens_decoder: {
      1536: { content: "<|im_end|>", special: true },
      1537: { content: "<|im_start|>", special: false, normalized: false },
    },
  };
  for (const file of ["tokenizer.json", "tokenizer.model"]) {
    const tokenizer = await AutoTokenizer.from_pretrained(files([file], { "tokenizer_config.json": config }));
    assert.equal(tokenizer.encode("<|im_start|>a<|im_end|>", { add_special_tokens: false }), [
      1537,
      ...tokenizer.encode("a", { add_special_tokens: false }),
      1536,
    ]);
    assert.is(tokenizer.eos_token_id, 1536);
    assert.is(tokenizer.vocab_size, 1536);
    assert.is(tokenizer.decode([1537, 1536], { skip_special_tokens: true }), "<|im_start|>");
  }
});

test("of a token that both files define, tokenizer_config.json says what it is", async () => {
  // As AutoTokenizer of transformers 5.23 has it; what one of them calls special is so.
  const json = JSON.parse(readFileSync(join(demo, "tokenizer.json"), "utf8"));
  const token = { content: "[X]", single_word: false, rstrip: false, normalized: false };
  for (const special of [true, false]) {
    const config = { ...token, special, lstrip: special };
    const added_tokens = [...json.added_tokens, { ...token, id: 1536, special: !special, lstrip: !special }];
    const tokenizer = await AutoTokenizer.from_pretrained(
      files([], {
        "tokenizer.json": { ...json, added_tokens },
        "tokenizer_config.json": { added_tokens_decoder: { 1536: config } },
      }),
    );
    const space = tokenizer.encode("a ", { add_special_tokens: false }).at(-1);
    const ids = tokenizer.encode("a [X]", { add_special_tokens: false });
    assert.is(ids.at(-1), 1536);
    assert.is(ids.at(-2) === space, !special, "with lstrip the space before it is its own");
    assert.is(tokenizer.decode(ids, { skip_special_tokens: true }), special ? "a" : "a ");
  }
});

test("tokenizer.model: which special tokens stand around a text", async () => {
  for (const [config, expected] of [
    [{}, [1]],
    [{ add_bos_token: false }, []],
    [{ add_bos_token: true, add_eos_token: true }, [1, 2]],
  ] as const) {
    const tokenizer = await AutoTokenizer.from_pretrained(
      files(["tokenizer.model"], { "tokenizer_config.json": config }),
    );
    assert.equal(tokenizer.encode(""), expected);
  }
});

test("chat templates: chat_template.jinja wins, a list has names", async () => {
  const named = {
    chat_template: [
      { name: "default", template: "A" },
      { name: "short", template: "B" },
    ],
  };
  const both = await AutoTokenizer.from_pretrained(
    files(["tokenizer.json", "chat_template.jinja"], { "tokenizer_config.json": named }),
  );
  assert.is(both.chat_template, readFileSync(join(demo, "chat_template.jinja"), "utf8"));
  const list = await AutoTokenizer.from_pretrained(files(["tokenizer.json"], { "tokenizer_config.json": named }));
  const render = (chat_template?: string) =>
    list.apply_chat_template([{ role: "user", content: "hi" }], { tokenize: false, chat_template });
  assert.equal([render(), render("short"), render("C")], ["A", "B", "C"]);
});

test("what is not there or not right is said", async () => {
  await rejects(
    AutoTokenizer.from_pretrained(files([], {})),
    /expected tokenizer.json, tekken.json, tokenizer.model or a .gguf file, found an empty folder/,
  );
  await rejects(AutoTokenizer.from_pretrained(files([], { "README.md": "hi" })), /found README.md/);
  const other = AutoTokenizer.from_pretrained(demo, { file: "tokenizer_other.json" });
  assert.match((await failure(other)).message, /expected tokenizer_other.json, found README.md, chat_template.jinja/);
  await rejects(AutoTokenizer.from_pretrained(files([], { "tokenizer.json": "{" })), /tokenizer.json: expected JSON/);
  for (const [config, pattern] of [
    [[], /tokenizer_config.json: expected an object, found a list of 0/],
    [{ bos_token: 5 }, /bos_token: expected a token, found 5/],
    [{ padding_side: "top" }, /padding_side: expected "left" or "right", found "top"/],
    [{ model_max_length: "many" }, /model_max_length: expected a number above 0, found "many"/],
    [{ chat_template: [{ name: "default" }] }, /chat_template\[0\].template: expected a string, found nothing/],
    [{ added_tokens_decoder: { x: { content: "a" } } }, /added_tokens_decoder: key: expected an id, found "x"/],
    [{ added_tokens_decoder: { 7: "a" } }, /added_tokens_decoder\[7\]: expected an object, found "a"/],
    [{ extra_special_tokens: [5] }, /extra_special_tokens\[0\]: expected a token, found 5/],
  ] as const)
    await rejects(
      AutoTokenizer.from_pretrained(files(["tokenizer.json"], { "tokenizer_config.json": config })),
      pattern,
    );
  // Ids that tokenizer.model's vocabulary contradicts; of a tokenizer.json, the tokens' texts count alone.
  for (const [decoder, pattern] of [
    [{ 7: { content: "fresh" } }, /id 7 is that of "<0x04>"/],
    [{ 1540: { content: "<s>" } }, /expected 1, the id of "<s>" in the vocabulary, found 1540/],
  ] as const)
    await rejects(
      AutoTokenizer.from_pretrained(
        files(["tokenizer.model"], { "tokenizer_config.json": { added_tokens_decoder: decoder } }),
      ),
      pattern,
    );
});

test.run();
