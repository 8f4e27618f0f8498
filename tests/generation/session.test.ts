// ChatSession with templates made for its corners: a prompt that the cache holds already, answers that are cut, windows.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Message } from "../../src/generation/conversation.ts";
import { ChatSession, type ChatTokenizer } from "../../src/generation/session.ts";
import { InputError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";

/** Characters are tokens from 3 on, and a conversation's text is `template` of it. */
const tokenizerOf = (template: (messages: Message[]) => string): ChatTokenizer => ({
  decode: (ids) => ids.map((id) => String.fromCharCode(id + 61)).join(""),
  apply_chat_template: (messages) => [1, ...Array.from(template(messages), (c) => c.charCodeAt(0) - 61)],
});
/** All that was said, and nothing else: what the model has answered is the end of the next prompt's beginning. */
const plain = tokenizerOf((messages) => messages.map(({ content }) => content).join(""));

const load = (name: string) =>
  MixtralForCausalLM.from_pretrained(fixture(`fixtures/hf/${name}`), { threads: 2, profile: true });
const options = { max_new_tokens: 6, min_new_tokens: 6, eos_token_id: 2 };

async function say(session: ChatSession, text: string, more = {}): Promise<string> {
  let answer = "";
  for await (const piece of session.send(text, { ...options, ...more })) answer += piece;
  return answer;
}

test("each turn computes what the cache does not hold, and answers as without one", async () => {
  for (const name of ["base", "window_8"]) {
    await using model = await load(name);
    const session = new ChatSession(model, plain);
    const rows = () => model.profile!.count("prefill").rows + model.profile!.count("decode").rows;
    for (const text of ["Hello", "AndMore", "", "Z"]) {
      const before = rows();
      const held = session["cache"]?.get_seq_length() ?? 0;
      const answer = await say(session, text);
      assert.ok(session.cached_tokens <= held, `${session.cached_tokens} of ${held} cached tokens`);
      assert.is(rows() - before, session.prompt_tokens - session.cached_tokens + 5, `after ${text}`);
      const alone = new ChatSession(model, plain);
      alone.messages.push(...session.messages.slice(0, -2));
      assert.is(await say(alone, text), answer);
      assert.is(alone.cached_tokens, 0);
      alone.dispose();
    }
    assert.ok(session.cached_tokens > 20);
    session.dispose();
    assert.is(model.info().cache_bytes, 0);
  }
});

test("a prompt that the cache holds already: its last token is fed again", async () => {
  await using model = await load("base");
  // The last message alone, so that the second prompt is the beginning of what the first left.
  const last = tokenizerOf((messages) => messages.at(-1)!.content);
  const session = new ChatSession(model, last);
  const first = await say(session, "abcdefgh");
  const again = await say(session, "abcdefgh");
  assert.is(again, first);
  assert.equal([session.prompt_tokens, session.cached_tokens], [9, 8]);
  assert.is(await say(session, "abcdef"), await say(new ChatSession(model, last), "abcdef"));
  assert.equal([session.prompt_tokens, session.cached_tokens], [7, 6]);
  await say(session, "abXdef");
  assert.equal([session.prompt_tokens, session.cached_tokens], [7, 3], "<s>ab is common");
  await say(session, "Xb");
  assert.is(session.cached_tokens, 1);
});

test("what a loop has left stays in the conversation; a reset forgets it; one message at a time", async () => {
  await using model = await load("base");
  const session = new ChatSession(model, plain);
  for await (const piece of session.send("Hello", options)) {
    assert.match((await failure(session.send("x").next())).message, /still being answered/);
    assert.instance(await failure(session.send("x").next()), InputError);
    assert.equal(session.messages, [{ role: "user", content: "Hello" }]);
    assert.ok(piece.length > 0);
    break;
  }
  assert.is(session.messages.length, 2);
  assert.ok(session.messages[1].content.length >= 1 && session.messages[1].role === "assistant");
  await say(session, "on");
  assert.is(session.messages.length, 4);
  assert.ok(session.cached_tokens >= 6);
  session.reset();
  assert.equal(session.messages, []);
  assert.is(model.info().cache_bytes, 0);
  await say(session, "Hello");
  assert.is(session.cached_tokens, 0);
  session.dispose();
});

test("a template that refuses leaves the conversation as it was", async () => {
  await using model = await load("base");
  const strict = tokenizerOf((messages) => {
    if (messages.at(-1)!.content === "no") throw new Error("refused");
    return messages.map(({ content }) => content).join("");
  });
  const session = new ChatSession(model, strict);
  assert.is((await failure(session.send("no", options).next())).message, "refused");
  assert.equal(session.messages, []);
  await say(session, "yes");
  assert.is((await failure(session.send("no", options).next())).message, "refused");
  assert.is(session.messages.length, 2);
  session.dispose();
});

test.run();
