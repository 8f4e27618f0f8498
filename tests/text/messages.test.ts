// Conversations encoded message by message against mistral-common's own ids, exactly: tekken_small/messages.json
// (make_messages.py) in every version, and the SentencePiece vocabularies of tokenizers/mixtral_v3.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, TokenizerError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { versionOf } from "../../src/text/mistral_formats.ts";
import { rewriteJSON, toPythonJSON } from "../../src/text/python_json.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { demo as demoFolder, fixture, hasFixture, json, root } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";

const folder = join(root, "tests", "text", "tekken_small");
const small = JSON.parse(readFileSync(join(folder, "tekken.json"), "utf8"));
const tekken = (version: string, beside: Record<string, string> = {}): Promise<Tokenizer> =>
  loadTokenizer(
    memoryFiles({ "tekken.json": JSON.stringify({ ...small, config: { ...small.config, version } }), ...beside }),
  );
const load = async (name: string): Promise<Tokenizer> =>
  loadTokenizer(await repositoryAt(fixture(`tokenizers/${name}`)));

/** The ids, or the message of an InputError. */
function outcome(tokenizer: Tokenizer, messages: ChatMessage[], options: object): number[] | string {
  try {
    return tokenizer.encode_messages(messages, options);
  } catch (error) {
    assert.instance(error, InputError, (error as Error).stack);
    return (error as Error).message;
  }
}

if (!hasFixture("tokenizers/mixtral_v3")) console.log("# tokenizers/mixtral_v3 is not among the copied fixtures");
else
  test("v1, v2, v3 of SentencePiece", async () => {
    const { conversations, tools, cases } = json("tokenizers/mixtral_v3/chat.json");
    assert.is(cases.length, 64);
    const sources: Record<string, Tokenizer[]> = {
      v1: [await load("mixtral/tokenizer.model"), await load("mixtral/tokenizer_metaspace.json")],
      v2: [await load("mixtral_v3/tokenizer_v2.model"), await load("mixtral_v3/tokenizer_v2.json")],
      v3: [
        await load("mixtral_v3/tokenizer_v3.model"),
        await load("mixtral_v3/tokenizer_v3.json"),
        await load("mixtral_v3/vocab_v3.gguf"),
      ],
    };
    let [equal, refused, lenient] = [0, 0, 0];
    for (const c of cases)
      for (const [version, tokenizers] of Object.entries(sources))
        for (const tokenizer of tokenizers) {
          const given = conversations[c.conversation];
          const messages = Array.isArray(given) ? given : given.messages;
          const got = outcome(tokenizer, messages, { tools: c.tools && tools[c.tools] });
          const { ids, error, message } = c[version];
          const where = `${version} ${c.conversation}, tools ${c.tools}: ${got}`;
          if (ids) {
            assert.equal(got, ids, where);
            equal++;
          } else if (typeof got === "string") refused++;
          else {
            assert.match(message, /Expected last role User or Tool/, `${where} ${error}`);
            lenient++;
          }
        }
    console.log(`# ${equal} equal, ${refused} refused by both, ${lenient} refused by mistral-common alone`);
  });

test("every version on a small Tekken vocabulary, and v1 on its own", async () => {
  const { cases, tools } = JSON.parse(readFileSync(join(folder, "messages.json"), "utf8"));
  assert.is(cases.length, 48);
  let [equal, refused] = [0, 0];
  const v1 = await load("mixtral/tokenizer.model");
  for (const c of cases) {
    const got = outcome(v1, c.messages, { continue_final_message: c.continue_final_message, tools: tools[c.tools] });
    const { ids } = c.expected.v1;
    if (ids) assert.equal(got, ids, JSON.stringify(c.messages));
    else assert.type(got, "string");
  }
  for (const version of ["v1", "v2", "v3", "v7", "v11", "v13"]) {
    const told = await tekken(version);
    const given = await loadTokenizer(await repositoryAt(join(folder, "tokenizer.json")));
    for (const c of cases)
      for (const [tokenizer, of] of [
        [told, undefined],
        [given, version],
      ] as const) {
        const options = { continue_final_message: c.continue_final_message, tools: tools[c.tools], version: of };
        const got = outcome(tokenizer, c.messages, options);
        const { ids, error } = c.expected[`small ${version}`];
        if (ids) {
          assert.equal(got, ids, `${version}: ${JSON.stringify(c.messages)}: ${got}`);
          equal++;
        } else {
          assert.type(got, "string", `${version}: ${error}: ${JSON.stringify(c.messages)}`);
          refused++;
        }
      }
  }
  assert.ok(equal > 300 && refused > 100, `${equal}, ${refused}`);
  console.log(`# ${equal} equal, ${refused} refused by both`);
});

const user = { role: "user", content: "a [INST] b </s>" };

test("which version it is: told by a file, shown by the vocabulary, or asked for", async () => {
  const demo = await loadTokenizer(await repositoryAt(demoFolder));
  assert.equal(demo.encode_messages([user]), demo.encode_messages([user], { version: "v1" }));
  const text = `[INST] ${user.content} [/INST]`;
  assert.equal(demo.encode_messages([user]).slice(1), demo.encode(text, { split_special_tokens: true }).slice(1));
  const asks = (tokenizer: Tokenizer, options: object, pattern: RegExp) =>
    assert.match(outcome(tokenizer, [user], options) as string, pattern);
  asks(demo, { version: "v3" }, /version v3 needs the control token \[INST\], which .*tokenizer.json lacks/);
  asks(demo, { version: "v4" }, /version: expected one of v1, v2, v3, v7, v11, v13, found "v4"/);
  asks(demo, { versoin: "v3" }, /unknown option versoin: did you mean version\?/);
  const file = await loadTokenizer(await repositoryAt(join(folder, "tokenizer.json")));
  asks(file, {}, /tokenizer.json: does not tell which version of Mistral's format it is for; pass version/);
  asks(await tekken("v15"), {}, /version: expected one of .*, found "v15"/);
  const pieces = ["[INST]", "[PREFIX]", "[SYSTEM_PROMPT]"];
  for (const [known, version] of ["v1", "v2", "v3", "v7"].entries()) {
    const has = (token: string) => pieces.slice(0, known).includes(token);
    assert.is(versionOf({ decoder: "Sequence", source: "x" } as never, has), version);
  }
  const model = readFileSync(join(demoFolder, "tokenizer.model"));
  const named = await loadTokenizer(memoryFiles({ "tokenizer.model.v3": model }));
  asks(named, {}, /version v3 needs the control token \[INST\]/);
});

test("what is no conversation is named", async () => {
  const v3 = await tekken("v3");
  const call = (id: unknown, given: unknown = {}) => ({
    role: "assistant",
    tool_calls: [{ id, type: "function", function: { name: "f", arguments: given } }],
  });
  const cases: [unknown, object, RegExp][] = [
    [[], {}, /messages: expected at least one message/],
    ["hi", {}, /messages: expected a list of messages/],
    [[{ role: "bot", content: "" }], {}, /messages\[0\].role: expected system, user, assistant or tool, found "bot"/],
    [[{ role: "user" }], {}, /messages\[0\].content: expected a text or a list of parts, found nothing/],
    [
      [{ role: "user", content: [{ type: "image_url" }] }],
      {},
      /content\[0\]: expected a part of text in v3, found "image_url"/,
    ],
    [[user, { role: "assistant" }], {}, /messages\[1\]: expected content or tool_calls, found neither/],
    [[user, { ...call("abcdefghi"), content: "x" }], {}, /messages\[1\]: expected content or tool_calls, found both/],
    [[user, call("short")], {}, /tool_calls\[0\].id: expected 9 letters and digits in v3, found "short"/],
    [[user, call("abcdefghi", 5)], {}, /function.arguments: expected an object or its JSON, found 5/],
    [[user, call("abcdefghi", { f: () => 1 })], {}, /arguments.f: expected a value of JSON/],
    [[{ role: "assistant", content: "a" }], {}, /expected a user or system message first/],
    [
      [user, { role: "tool", content: "a", tool_call_id: "abcdefghi" }],
      {},
      /messages\[1\]: expected .* after user, found tool/,
    ],
    [
      [user, call("abcdefghi"), { role: "assistant", content: "a" }],
      {},
      /expected 1 results of tools before it, found 0/,
    ],
    [
      [user],
      { continue_final_message: true },
      /expected the last message to be the assistant's, found one of role user/,
    ],
    [[user], { tools: "f" }, /tools: expected a list, found "f"/],
    [
      [user],
      { tools: [{ name: "f" }] },
      /tools\[0\].function: expected an object with name and parameters, found nothing/,
    ],
    [[user], { tools: [{ function: { name: "a b" } }] }, /tools\[0\].function.name: expected 1 to 64 letters/],
  ];
  for (const [messages, options, pattern] of cases)
    assert.match(outcome(v3, messages as ChatMessage[], options) as string, pattern);
});

test("apply_chat_template: messages by themselves where they are to be, or where files have no template", async () => {
  const template = "{% for m in messages %}<s>[INST] {{ m.content }}[/INST]{% endfor %}";
  const beside = { "tokenizer_config.json": JSON.stringify({ chat_template: template }) };
  const [bare, templated] = [await tekken("v3"), await tekken("v3", beside)];
  const ids = bare.encode_messages([user]);
  const plain = { return_dict: false, return_tensor: false } as const;
  assert.ok(templated.apply_chat_template([user], plain).filter((id) => id === 3).length === 2, "forged");
  assert.equal(templated.apply_chat_template([user], { ...plain, split_special_tokens: true }), ids);
  assert.equal(bare.apply_chat_template([user], { ...plain, add_generation_prompt: true }), ids);
  assert.is(bare.apply_chat_template([user], { tokenize: false }), `<s>[INST]${user.content}[/INST]`);
  const padded = bare.apply_chat_template([user], { padding: "max_length", max_length: ids.length + 2 });
  assert.equal([...padded.input_ids.data], [...ids, 11, 11]);
  assert.equal([...padded.attention_mask.data], [...ids.map(() => 1), 0, 0]);
  assert.equal(bare.apply_chat_template([user], { ...plain, truncation: true, max_length: 3 }), ids.slice(0, 3));
  assert.throws(
    () => bare.apply_chat_template([user], { documents: [{}] }),
    (e: unknown) => e instanceof InputError && /documents/.test(e.message),
  );
  const none = await loadTokenizer(await repositoryAt(join(folder, "tokenizer.json")));
  assert.throws(
    () => none.apply_chat_template([user]),
    (e: unknown) => e instanceof TokenizerError && /expected a chat template/.test(e.message),
  );
});

test("a long message, and many, take little time", async () => {
  const v3 = await tekken("v3");
  const start = performance.now();
  assert.ok(v3.encode_messages([{ role: "user", content: "a b ".repeat(100_000) }]).length > 200_000);
  const spaces = `${" ".repeat(200_000)}x`;
  v3.encode_messages([user, { role: "assistant", content: spaces }]);
  const turns = Array.from({ length: 20_000 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: "a" }));
  v3.encode_messages(turns);
  assert.ok(performance.now() - start < 20_000);
});

test("JSON as Python writes it", () => {
  const value = { a: [1, 2.5, -0, 1e21, 1e-7, 1e22], b: "é\n\u007f\ud800", c: null, d: undefined, e: 10n, f: true };
  assert.is(
    toPythonJSON(value, "v"),
    '{"a": [1, 2.5, 0, 1000000000000000000000, 1e-07, 10000000000000000000000], "b": "é\\n\u007f\ufffd", "c": null, "e": 10, "f": true}',
  );
  assert.is(rewriteJSON(`{"": "", "a" :[ "", "\\""]}`), `{"": "", "a": ["", "\\""]}`);
  let deep: unknown = 1;
  for (let i = 0; i < 300; i++) deep = [deep];
  assert.throws(() => toPythonJSON(deep, "v"), /nested at most 256 deep/);
});

test.run();
