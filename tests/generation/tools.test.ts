// Tools in a session: a model whose answers are told beforehand (each token allowed alone) calls them, with a tokenizer of
// Mistral's that has the control tokens, and with one that has not.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AnswerText } from "../../src/generation/answer_text.ts";
import type { Message } from "../../src/generation/conversation.ts";
import { ChatSession, type ChatSessionOptions } from "../../src/generation/session.ts";
import { type ChatTool, MixtralForCausalLM, parse_tool_calls, type Tokenizer } from "../../src/index.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { failure } from "../failure.ts";
import { root } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

const small = JSON.parse(readFileSync(join(root, "tests", "text", "tekken_small", "tekken.json"), "utf8"));
const tokenizer: Tokenizer = await loadTokenizer(
  memoryFiles({ "tekken.json": JSON.stringify({ ...small, config: { ...small.config, version: "v3" } }) }),
);
const shape = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 4 };
const model = await MixtralForCausalLM.from_config(
  { ...shape, vocab_size: 1024, num_key_value_heads: 2, num_local_experts: 2, max_position_embeddings: 4096 },
  { seed: 1, threads: 1 },
);

const CALLS = tokenizer.convert_tokens_to_ids("[TOOL_CALLS]")!;
const END = tokenizer.eos_token_id!;
const text = (content: string) => tokenizer.encode(content, { add_special_tokens: false });
const calls = (...list: object[]) => [CALLS, ...text(` ${JSON.stringify(list)}`), END];

/** A session whose model answers with these ids, one answer after the other. */
function scripted(answers: number[][], options: ChatSessionOptions) {
  const session = new ChatSession(model, tokenizer, options);
  const prompts: number[] = [];
  const prefix_allowed_tokens_fn = (_: number, ids: ArrayLike<number>) => {
    if (prompts.at(-1) !== session.prompt_tokens) prompts.push(session.prompt_tokens);
    return [answers[prompts.length - 1][ids.length - session.prompt_tokens]];
  };
  return { session, options: { prefix_allowed_tokens_fn, eos_token_id: END } };
}

const wind = (execute?: ChatTool["execute"]): ChatTool => ({
  type: "function",
  function: { name: "wind", description: "Where it blows from", parameters: { type: "object", properties: {} } },
  ...(execute ? { execute } : {}),
});

test("calls are run, and answered to, within the turn; nothing of them is text", async () => {
  const ran: unknown[] = [];
  const execute: ChatTool["execute"] = async (args, { id }) => {
    ran.push([args, id.length]);
    return { from: "north" };
  };
  const { session, options } = scripted(
    [calls({ name: "wind", arguments: { at: "noon" } }, { name: "sun", arguments: {} }), [...text("North."), END]],
    { tools: [wind(execute)], system: "Be short." },
  );
  const pieces: string[] = [];
  for await (const piece of session.send("Wind?", options)) pieces.push(piece);
  assert.is(pieces.join(""), "North.");
  assert.equal(ran, [[{ at: "noon" }, 9]]);
  assert.is(session.finish_reason, "stop");
  const [, , called, ...rest] = session.messages;
  const [one, two] = called.tool_calls!;
  assert.equal(called, {
    role: "assistant",
    content: "",
    tool_calls: [
      { id: one.id, type: "function", function: { name: "wind", arguments: { at: "noon" } } },
      { id: two.id, type: "function", function: { name: "sun", arguments: {} } },
    ],
  });
  assert.equal(rest, [
    { role: "tool", tool_call_id: one.id, name: "wind", content: '{"from":"north"}' },
    { role: "tool", tool_call_id: two.id, name: "sun", content: '{"error":"there is no tool \\"sun\\""}' },
    { role: "assistant", content: "North." },
  ]);
  session.dispose();
});

test("a tool that nothing runs ends the turn; the caller sends what it gave back", async () => {
  const { session, options } = scripted([calls({ name: "wind", arguments: {} }), [...text("South."), END]], {
    tools: [wind()],
  });
  assert.is(await session.prompt("Wind?", options), "");
  assert.is(session.finish_reason, "tool_calls");
  const [{ id, function: called }] = session.messages.at(-1)!.tool_calls!;
  assert.is(called.name, "wind");
  const result = { role: "tool", tool_call_id: id, name: "wind", content: "south" };
  assert.is(await session.prompt(result, options), "South.");
  assert.equal(
    session.messages.map(({ role }) => role),
    ["user", "assistant", "tool", "assistant"],
  );
  session.dispose();
});

test("the template is told of the tools, not of what runs them", async () => {
  const seen: unknown[] = [];
  const spy = Object.assign(Object.create(null), {
    decode: tokenizer.decode.bind(tokenizer),
    parse_tool_calls: tokenizer.parse_tool_calls.bind(tokenizer),
    apply_chat_template: (messages: Message[], options: { tools: unknown }) => {
      seen.push(options.tools);
      return tokenizer.apply_chat_template(messages, options as never);
    },
  });
  const session = new ChatSession(model, spy, { tools: [wind(() => "north")] });
  await session.prompt("Wind?", { max_new_tokens: 1 });
  const { execute, ...told } = wind(() => "");
  assert.equal(seen[0], [told]);
  session.dispose();
});

test("what a tool throws fails the turn; so does an abort meanwhile; rounds are bounded", async () => {
  const call = calls({ name: "wind", arguments: {} });
  const fails = scripted([call], {
    tools: [
      wind(() => {
        throw new Error("no sensor");
      }),
    ],
  });
  assert.is((await failure(fails.session.prompt("Wind?", fails.options))).message, "no sensor");
  assert.equal(fails.session.messages, []);
  const controller = new AbortController();
  const aborts = scripted([call], {
    tools: [wind(() => controller.abort(new Error("enough")))],
  });
  const { signal } = controller;
  assert.is((await failure(aborts.session.prompt("Wind?", { ...aborts.options, signal }))).message, "enough");
  assert.equal(aborts.session.messages, []);
  const endless = scripted([call, call, call], { tools: [wind(() => "round")], max_tool_rounds: 2 });
  await endless.session.prompt("Wind?", endless.options);
  assert.equal(
    [endless.session.finish_reason, endless.session.messages.map(({ role }) => role).join()],
    ["tool_calls", "user,assistant,tool,assistant"],
  );
  for (const { session } of [fails, aborts, endless]) session.dispose();
});

test("calls that are broken stay text", async () => {
  const broken = [CALLS, ...text(' [{"name": "wind"'), END];
  const { session, options } = scripted([[...text("Well."), ...broken]], { tools: [wind(() => "north")] });
  assert.is(await session.prompt("Wind?", options), 'Well.[TOOL_CALLS] [{"name": "wind"');
  assert.is(session.finish_reason, "stop");
  session.dispose();
});

test("where the vocabulary has no control token, calls are found in the text", () => {
  const characters = {
    decode: (ids: number[]) => String.fromCharCode(...ids),
    parse_tool_calls: (ids: number[]) => parse_tool_calls(String.fromCharCode(...ids)),
  };
  const shown = (answer: string) => {
    const output = new AnswerText(characters, characters as never);
    const pieces = Array.from(answer, (c) => output.push(c.charCodeAt(0)));
    const { rest, calls: found } = output.end();
    return [pieces.join(""), rest, found.map((call) => call.function.name)];
  };
  assert.equal(shown('Well. [TOOL_CALLS] [{"name": "wind", "arguments": {}}]'), ["Well. ", "", ["wind"]]);
  assert.equal(shown("[TOOL"), ["", "[TOOL", []]);
  assert.equal(shown("a [b] [TOOLS] c"), ["a [b] [TOOLS] c", "", []]);
  assert.equal(shown("[TOOL_CALLS] nothing"), ["", "[TOOL_CALLS] nothing", []]);
});

test.after(() => model.dispose());
test.run();
