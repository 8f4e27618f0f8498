// A session's conversation: what is kept of it when a turn fails, what the model is shown when the context is full, where its
// system prompt goes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeConversation, type Message } from "../../src/generation/conversation.ts";
import { ChatSession, type ChatSessionOptions, type ChatTokenizer } from "../../src/generation/session.ts";
import { AutoTokenizer, BaseStreamer, InputError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";

/** Characters are tokens, and a conversation is its roles' first letters and its texts. */
const tokenizerOf = (render: (messages: Message[]) => string): ChatTokenizer => ({
  decode: (ids) => ids.map((id) => String.fromCharCode(id + 61)).join(""),
  apply_chat_template: (messages) => [1, ...Array.from(render(messages), (c) => c.charCodeAt(0) - 61)],
});
const written = (messages: Message[]) => messages.map(({ role, content }) => role[0].toUpperCase() + content).join("");
const roles = tokenizerOf(written);

const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2, context: 64 });
const never = { eos_token_id: null };
const user = (content: string): Message => ({ role: "user", content });

async function failed(answer: AsyncGenerator<string, void, void>): Promise<Error> {
  return failure(
    (async () => {
      for await (const _ of answer);
    })(),
  );
}

test("without max_new_tokens an answer takes what is left of the context, and with it no more", async () => {
  const session = new ChatSession(model, roles);
  await session.prompt("Hello", never);
  assert.equal([session.prompt_tokens, session.finish_reason], [7, "length"]);
  assert.is(session.messages[1].content.length, 64 - 7);
  session.reset();
  await session.prompt("Hello", { ...never, max_new_tokens: 1000 });
  assert.is(session.messages[1].content.length, 64 - 7);
  session.reset();
  await session.prompt("Hello", { ...never, generation_config: { max_new_tokens: 3 } });
  assert.is(session.messages[1].content.length, 3);
  session.reset();
  await session.prompt("Hello", { ...never, max_length: 11 });
  assert.is(session.messages[1].content.length, 4);
  session.dispose();
});

test("a full context leaves the oldest turns out, down to half of it, and says how many messages", async () => {
  const session = new ChatSession(model, roles, { system: "Sys" });
  const turns = ["abcdefgh", "ijklmnop", "qrstuvwx", "ABCDEFGH"];
  const dropped: number[] = [];
  for (const text of turns) {
    await session.prompt(text, { ...never, max_new_tokens: 8 });
    dropped.push(session.dropped);
  }
  // <s> and the system prompt are 5 tokens, a turn 18: the fourth prompt would have 68, and has 32 with one turn before it.
  assert.equal(dropped, [0, 0, 0, 4]);
  assert.is(session.prompt_tokens, 32);
  assert.equal(
    session.messages.map(({ role }) => role),
    ["system", ...turns.flatMap(() => ["user", "assistant"])],
  );
  const alone = new ChatSession(model, roles, { messages: [session.messages[0], ...session.messages.slice(5, 7)] });
  assert.is(await alone.prompt(turns[3], { ...never, max_new_tokens: 8 }), session.messages.at(-1)!.content);
  // What was left out stays out, and what is shown stays in the cache.
  await session.prompt("more", { ...never, max_new_tokens: 8 });
  assert.equal([session.dropped, session.cached_tokens], [4, 32]);
  // Turns that are taken back may leave less than was left out.
  while (session.messages.length > 3) session.undo();
  await session.prompt("again", { ...never, max_new_tokens: 8 });
  assert.is(session.dropped, 0);
  session.dispose();
  alone.dispose();
});

test("context_overflow error refuses, and the conversation is as before; so does a message that is too long", async () => {
  const session = new ChatSession(model, roles, { context_overflow: "error" });
  await session.prompt("Hello", never); // fills it
  const before = structuredClone(session.messages);
  const error = await failed(session.send("and", never));
  assert.instance(error, InputError);
  assert.match(error.message, /the conversation has 69 tokens, the context holds 64/);
  assert.equal(session.messages, before);
  assert.is(session.finish_reason, undefined);
  session.reset();
  const long = new ChatSession(model, roles);
  assert.match((await failed(long.send("x".repeat(70)))).message, /the message has 72 tokens, the context holds 64/);
  assert.equal(long.messages, []);
  assert.ok((await long.prompt("x", never)).length > 0);
  session.dispose();
  long.dispose();
});

test("a turn that fails leaves the conversation as before", async () => {
  const session = new ChatSession(model, roles, { messages: [user("a"), { role: "assistant", content: "b" }] });
  const before = structuredClone(session.messages);
  assert.match((await failed(session.send("Hello", { temprature: 1 } as never))).message, /temprature/);
  assert.equal(session.messages, before);
  class Fails extends BaseStreamer {
    left = 3;
    put() {
      if (--this.left === 0) throw new Error("full disk");
    }
    end() {}
  }
  assert.is((await failed(session.send("Hello", { ...never, streamer: new Fails() }))).message, "full disk");
  assert.equal(session.messages, before);
  const signal = AbortSignal.abort();
  await failed(session.send("Hello", { ...never, signal }));
  assert.equal([session.messages, session.finish_reason], [before, "aborted"], "aborted before the first token");
  assert.is(await session.prompt("Hello", { ...never, max_new_tokens: 4 }), await fresh(before, "Hello", 4));
  session.dispose();
});

async function fresh(messages: readonly Message[], text: string, max_new_tokens: number): Promise<string> {
  const session = new ChatSession(model, roles, { messages });
  const answer = await session.prompt(text, { ...never, max_new_tokens });
  session.dispose();
  return answer;
}

test("what was aborted behind its first token stays", async () => {
  const session = new ChatSession(model, roles);
  const controller = new AbortController();
  let text = "";
  const error = await failure(
    (async () => {
      for await (const piece of session.send("Hello", { ...never, signal: controller.signal })) {
        text += piece;
        controller.abort(new Error("enough"));
      }
    })(),
  );
  assert.is(error.message, "enough");
  assert.equal(session.messages, [user("Hello"), { role: "assistant", content: text }]);
  assert.is(session.finish_reason, "aborted");
  session.dispose();
});

test("undo, regenerate, load, system", async () => {
  const session = new ChatSession(model, roles);
  const options = { ...never, max_new_tokens: 5 };
  assert.equal(session.undo(), []);
  assert.match((await failed(session.regenerate())).message, /found none/);
  const first = await session.prompt("Hello", options);
  const second = await session.prompt("World", options);
  let again = "";
  for await (const text of session.regenerate(options)) again += text;
  assert.is(again, second);
  assert.is(session.messages.length, 4);
  const sampled = { ...options, do_sample: true, temperature: 100, top_k: 0, seed: 3 };
  for await (const _ of session.regenerate(sampled));
  assert.is.not(session.messages[3].content, second);
  const before = structuredClone(session.messages);
  await failed(session.regenerate({ ...options, top_p: 2 }));
  assert.equal(session.messages, before, "the answer before is kept");
  assert.equal(session.undo(), before.slice(2));
  assert.equal(session.messages, before.slice(0, 2));
  assert.is(await session.prompt("World", options), second);
  session.load([{ role: "system", content: "S" }, ...before.slice(0, 2)]);
  assert.is(session.system, "S");
  session.system = "other";
  session.system = "T";
  assert.equal(session.messages, [{ role: "system", content: "T" }, ...before.slice(0, 2)]);
  session.reset();
  assert.equal(session.messages, [{ role: "system", content: "T" }]);
  session.system = "";
  assert.equal([session.messages, session.system], [[], undefined]);
  session.load([]);
  assert.is(await session.prompt("Hello", options), first);
  for await (const _ of session.send("x", options)) {
    assert.throws(() => session.undo(), /still being answered/);
    assert.throws(() => session.load([]), /still being answered/);
    break;
  }
  session.dispose();
});

test("a system prompt that the template refuses or leaves out begins the user's first message", () => {
  const talk: Message[] = [
    { role: "system", content: "Short." },
    user("Hello"),
    { role: "assistant", content: "Hi" },
    user("Again"),
  ];
  const shown = (render: (messages: Message[]) => string, messages = talk) => {
    let text = "";
    encodeConversation(messages, (given) => {
      text = render([...given]);
      return Array.from(text, (c) => c.charCodeAt(0));
    });
    return text;
  };
  assert.is(shown(written), "SShort.UHelloAHiUAgain");
  const folded = "UShort.\n\nHelloAHiUAgain";
  const refuses = (messages: Message[]) => {
    if (messages.some(({ role }) => role === "system")) throw new Error("no system");
    return written(messages);
  };
  assert.is(shown(refuses), folded);
  assert.is(
    shown((messages) => written(messages.filter(({ role }) => role !== "system"))),
    folded,
  );
  assert.is(shown(refuses, talk.slice(1)), "UHelloAHiUAgain");
});

test("folded as Mistral's own first format has it", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const messages: Message[] = [{ role: "system", content: "Answer in one sentence." }, user("What is pesto made of?")];
  const ids = encodeConversation(messages, (shown) =>
    tokenizer.apply_chat_template([...shown], {
      add_generation_prompt: true,
      return_dict: false,
      return_tensor: false,
    }),
  );
  assert.equal(ids, tokenizer.encode_messages(messages, { version: "v1" }));
});

test("content in parts is one text", async () => {
  const session = new ChatSession(model, roles);
  const content = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ] as const;
  await session.prompt({ role: "user", content: content.slice(1) }, { ...never, max_new_tokens: 1 });
  assert.equal(session.messages[0], user("b"));
  session.load([{ role: "user", content }]);
  assert.equal(session.messages, [user("a\nb")]);
  const picture = [{ type: "image" }] as never;
  assert.throws(() => session.load([{ role: "user", content: picture }]), /messages\[0\]\.content: expected a text/);
  session.dispose();
});

test("options and messages that are wrong are named", async () => {
  const made = (options: unknown) => () => new ChatSession(model, roles, options as ChatSessionOptions);
  assert.throws(made({ sistem: "x" }), /unknown option sistem: did you mean system\?/);
  assert.throws(made({ system: 3 }), /system: expected a text, found 3/);
  assert.throws(
    made({ context_overflow: "shift" }),
    /context_overflow: expected "drop_oldest" or "error", found "shift"/,
  );
  assert.throws(made({ max_tool_rounds: 0 }), /max_tool_rounds: expected an integer of at least 1, found 0/);
  assert.throws(made({ messages: [{ role: "user" }] }), /messages\[0\]\.content: expected a text, found nothing/);
  assert.throws(made({ messages: "hello" }), /messages: expected messages with role and content, found "hello"/);
  assert.throws(made({ tools: [{}] }), /tools\[0\]\.function\.name: expected a text, found nothing/);
  const session = new ChatSession(model, roles);
  assert.match((await failed(session.send([]))).message, /send: content: expected messages with role and content/);
  assert.equal(session.messages, []);
});

test.after(() => model.dispose());
test.run();
