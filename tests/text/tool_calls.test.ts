// What models call, from their ids and their text: mistral-common's ids of conversations (messages.json, mixtral_v3/chat.json)
// give back the calls that were put in; broken ones stay text.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { parse_tool_calls } from "../../src/text/tool_calls.ts";
import { fixture, hasFixture, json, root } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";

const folder = join(root, "tests", "text", "tekken_small");
const small = JSON.parse(readFileSync(join(folder, "tekken.json"), "utf8"));
const tekken = (version: string): Promise<Tokenizer> =>
  loadTokenizer(memoryFiles({ "tekken.json": JSON.stringify({ ...small, config: { ...small.config, version } }) }));

/** The answers within ids of a conversation: from behind a user's message or result to the end of sequence. */
function answers(tokenizer: Tokenizer, ids: readonly number[]): number[][] {
  const starts = ["[/INST]", "[/TOOL_RESULTS]"].map((token) => tokenizer.convert_tokens_to_ids(token));
  const found: number[][] = [];
  for (let to = 0, from = 0; to < ids.length; to++) {
    if (starts.includes(ids[to])) from = to + 1;
    else if (ids[to] === tokenizer.convert_tokens_to_ids("</s>")) found.push(ids.slice(from, to + 1));
  }
  return found;
}

/** The calls that a message asks for, where they are such as come back; undefined where an argument is no object. */
function asked(message: any, version: string) {
  const calls = message.tool_calls.map(({ id, function: { name, arguments: given } }: any) => {
    let value = given === "" ? {} : given;
    try {
      if (typeof value === "string") value = JSON.parse(value);
    } catch {
      return undefined;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const call = { type: "function", function: { name, arguments: value } };
    return version === "v2" || version === "v13" ? call : { id, ...call };
  });
  return calls.includes(undefined) ? undefined : calls;
}

function roundTrip(tokenizer: Tokenizer, version: string, messages: any[], ids: number[]): [number, number] {
  const written = answers(tokenizer, ids).filter((answer) =>
    answer.includes(tokenizer.convert_tokens_to_ids("[TOOL_CALLS]")!),
  );
  const called = messages.filter((m) => m.role === "assistant" && m.tool_calls);
  // v2 leaves calls before the last question out, and neighbours are joined.
  if (written.length !== called.length) return [0, 0];
  let [whole, broken] = [0, 0];
  for (const [i, answer] of written.entries()) {
    const expected = asked(called[i], version);
    const text = tokenizer.decode(answer);
    for (const parsed of [tokenizer.parse_tool_calls(answer), tokenizer.parse_tool_calls(Int32Array.from(answer))]) {
      if (expected) {
        assert.equal(parsed.tool_calls, expected, text);
        assert.is(parsed.error, undefined, text);
        whole++;
      } else {
        assert.ok(parsed.error, text);
        assert.match(parsed.content, "[TOOL_CALLS]");
        broken++;
      }
    }
    // The text says the same, where no argument spells a mark.
    if (expected && !(called[i].content ?? "").includes("[")) assert.equal(parse_tool_calls(text).tool_calls, expected);
  }
  return [whole, broken];
}

test("calls come back from the ids of every version", async () => {
  const { cases } = JSON.parse(readFileSync(join(folder, "messages.json"), "utf8"));
  const sum: Record<string, [number, number]> = {};
  for (const version of ["v2", "v3", "v7", "v11", "v13"]) {
    const tokenizer = await tekken(version);
    sum[version] = [0, 0];
    for (const c of cases) {
      const { ids } = c.expected[`small ${version}`];
      const [whole, broken] = ids ? roundTrip(tokenizer, version, c.messages, ids) : [0, 0];
      sum[version][0] += whole;
      sum[version][1] += broken;
    }
    assert.ok(sum[version][0] > 4, JSON.stringify(sum));
  }
  assert.ok(Object.values(sum).some(([, broken]) => broken > 4));
  console.log(`# calls of whole and of broken answers: ${JSON.stringify(sum)}`);
});

if (hasFixture("tokenizers/mixtral_v3"))
  test("and of SentencePiece v2 and v3", async () => {
    const { conversations, cases } = json("tokenizers/mixtral_v3/chat.json");
    let count = 0;
    for (const version of ["v2", "v3"]) {
      const at = fixture(`tokenizers/mixtral_v3/tokenizer_${version}.model`);
      const tokenizer = await loadTokenizer(await repositoryAt(at));
      for (const c of cases)
        if (c[version].ids) count += roundTrip(tokenizer, version, conversations[c.conversation], c[version].ids)[0];
    }
    assert.ok(count > 20, `${count}`);
  });

const call = (name: string, given: object, id?: string) => ({
  ...(id ? { id } : {}),
  type: "function",
  function: { name, arguments: given },
});

test("the text of an answer", () => {
  const cases: [string, string, object[], RegExp?][] = [
    ["No call at all.", "No call at all.", []],
    ["", "", []],
    [
      '[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]</s>',
      "",
      [call("f", { a: 1 }, "abcdefghi")],
    ],
    ['Let me see. [TOOL_CALLS][{"name":"f","arguments":{}}]', "Let me see. ", [call("f", {})]],
    [
      '[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"l": [1]}}]',
      "",
      [call("f", {}), call("g", { l: [1] })],
    ],
    ["[TOOL_CALLS] []", "", []],
    [
      '[TOOL_CALLS]f[ARGS]{"a": "}"}[TOOL_CALLS]g[CALL_ID]123456789[ARGS]{}',
      "",
      [call("f", { a: "}" }), call("g", {}, "123456789")],
    ],
    ['[TOOL_CALLS]f{"a": 1}', "", [call("f", { a: 1 })]],
    // Marks within arguments are text.
    ['[TOOL_CALLS]f[ARGS]{"a": "[TOOL_CALLS]g[ARGS]{}"}', "", [call("f", { a: "[TOOL_CALLS]g[ARGS]{}" })]],
    ['[TOOL_CALLS] [{"name": "f", "arguments": {"a": "[ARGS]"}}]\n', "", [call("f", { a: "[ARGS]" })]],
    ['[TOOL_CALLS] [{"name": "f", "arguments": {}}] and more', " and more", [call("f", {})]],
    // What is broken is kept, what is whole counts.
    [
      '[TOOL_CALLS] [{"name": "f", "argum',
      '[TOOL_CALLS] [{"name": "f", "argum',
      [],
      /expected a list of calls in JSON/,
    ],
    [
      'a[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]g[ARGS]{"a"',
      'a[TOOL_CALLS]g[ARGS]{"a"',
      [call("f", {})],
      /expected arguments in JSON, found/,
    ],
    ["[TOOL_CALLS]", "[TOOL_CALLS]", [], /found neither/],
    [
      "[TOOL_CALLS] a sentence {}",
      "[TOOL_CALLS] a sentence {}",
      [],
      /expected the name of a function, found "a sentence"/,
    ],
    [
      '[TOOL_CALLS] [{"arguments": {}}]',
      '[TOOL_CALLS] [{"arguments": {}}]',
      [],
      /expected call 0 to have a name, found nothing/,
    ],
    [
      '[TOOL_CALLS] [{"name": "f", "arguments": "x"}]',
      '[TOOL_CALLS] [{"name": "f", "arguments": "x"}]',
      [],
      /expected arguments to be an object, found "x"/,
    ],
    ['[TOOL_CALLS]f[ARGS]{"a": NaN}', '[TOOL_CALLS]f[ARGS]{"a": NaN}', [], /expected arguments in JSON/],
  ];
  for (const [text, content, tool_calls, error] of cases) {
    const parsed = parse_tool_calls(text);
    assert.equal([parsed.role, parsed.content, parsed.tool_calls], ["assistant", content, tool_calls], text);
    if (error) assert.match(parsed.error!, error);
    else assert.is(parsed.error, undefined, text);
  }
});

test("ids: what the text spells is no mark; ids of nine where they are asked for", async () => {
  const v3 = await tekken("v3");
  const spelled = v3.encode("[TOOL_CALLS] []", { add_special_tokens: false, split_special_tokens: true });
  assert.equal(v3.parse_tool_calls(spelled), { role: "assistant", content: "[TOOL_CALLS] []", tool_calls: [] });
  assert.equal(v3.parse_tool_calls([]), { role: "assistant", content: "", tool_calls: [] });
  const text = '[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "f", "arguments": {}, "id": "abcdefghi"}]';
  const parsed = v3.parse_tool_calls(text, { add_ids: true });
  const { tool_calls } = parsed;
  assert.match(tool_calls[0].id!, /^[a-zA-Z0-9]{9}$/);
  assert.is(tool_calls[1].id, "abcdefghi");
  // And so the answer can be put behind the conversation as it is.
  const results = tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "1" }));
  const conversation: ChatMessage[] = [{ role: "user", content: "a" }, parsed, ...results];
  assert.match(v3.decode(v3.encode_messages(conversation)), `"call_id": "${tool_calls[0].id}"`);
  for (const wrong of [() => parse_tool_calls(5 as never), () => v3.parse_tool_calls([[1], [2]])])
    assert.throws(wrong, (e: unknown) => e instanceof InputError && /answer/.test(e.message));
  assert.throws(() => v3.parse_tool_calls("", { ids: true } as never), /unknown option ids: did you mean add_ids/);
});

test("a hostile answer takes little time", () => {
  const start = performance.now();
  for (const piece of [
    "[TOOL_CALLS]",
    '[TOOL_CALLS][{"a',
    '[TOOL_CALLS]["',
    "[TOOL_CALLS][[",
    "[ARGS][CALL_ID]",
    "[TOOL_CALLS]f[ARGS]{",
  ])
    parse_tool_calls(piece.repeat(20_000));
  const ms = performance.now() - start;
  assert.ok(ms < 10_000, `${ms} ms`);
});

test.run();
