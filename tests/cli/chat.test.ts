// tramontane chat: a conversation over standard input.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { turnEnds } from "../../src/cli/options.ts";
import type { PreTrainedModel } from "../../src/model/pretrained.ts";
import { tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { demo } from "../fixtures.ts";
import { Command, rambling, tramontane, windowless } from "./command.ts";

const { greedy } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
const second = greedy.find((c: { name: string }) => c.name === "chat_2_1");
const [first, answer, next] = second.messages.map((m: { content: string }) => m.content);
const chat = ["chat", "-m", "models/demo"];

test("the conversation is kept: the second answer is the one to both messages", async () => {
  const { status, stdout, stderr } = await tramontane([...chat, "--quiet"], `${first}\n\n${next}\n`);
  assert.equal([status, stdout, stderr], [0, `${answer}\n${second.text}\n`, ""]);
});

test("only what is new is computed, until /reset", async () => {
  const { status, stdout, stderr } = await tramontane(
    [...chat, "--json"],
    `${first}\n${next}\n/reset\n${first}\n/exit\n${next}\n`,
  );
  assert.is(status, 0);
  const turns = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(
    turns.map(({ text }) => text),
    [answer, second.text, answer],
  );
  assert.is(turns[1].prompt_tokens, second.input_ids.length);
  assert.ok(turns[1].cached_tokens > turns[0].prompt_tokens);
  assert.equal([turns[2].prompt_tokens, turns[2].cached_tokens], [turns[0].prompt_tokens, 0]);
  assert.match(stderr, /\/reset forgets the conversation[\s\S]*the conversation is forgotten/);
});

test("an unknown command is told, and the conversation goes on", async () => {
  const { status, stdout, stderr } = await tramontane([...chat, "--quiet"], `/nope\n${first}\n`);
  assert.equal([status, stdout], [0, `${answer}\n`]);
  assert.match(stderr, /^unknown command \/nope: /);
});

test("a first word of a slash and letters is a command, any other line a message", async () => {
  const messages = ["/etc/hosts is a file", "/2 is a half", "//reset", "/"];
  const { status, stdout, stderr } = await tramontane(
    [...chat, "--json", "-n", "2"],
    `${messages.join("\r\n")}\r\n/rest now\r/help\r\n/exit now\r\n${first}\r\n`,
  );
  const turns = stdout.trim().split("\n");
  assert.equal([status, turns.length], [0, messages.length], stderr);
  assert.match(stderr, /unknown command \/rest: did you mean \/reset\?/);
  assert.is(stderr.split("/exit ends it").length, 4, "at the start, beside the unknown command, and by /help");
});

test("without -n the context is the bound", async () => {
  const folder = windowless();
  const options = ["--json", "--context", "64", ...rambling.slice(0, -2)];
  const { status, stdout, stderr } = await tramontane(["chat", "-m", folder, ...options], `${first}\n`);
  rmSync(folder, { recursive: true });
  const { prompt_tokens, generated_tokens } = JSON.parse(stdout);
  assert.equal([status, prompt_tokens + generated_tokens], [0, 64], stderr);
});

test("what ends turns in the tokenizer's format ends an answer, beside the model's ends", () => {
  const metadata = new Map<string, unknown>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "a", "<|im_end|>", "<turn_end>"]],
    ["tokenizer.ggml.eos_token_id", 5],
  ]);
  const tokenizer = tokenizer_from_gguf(metadata, "x.gguf");
  const ends = (eos_token_id: number | number[] | null) =>
    turnEnds({ config: { eos_token_id }, generation_config: {} } as unknown as PreTrainedModel, tokenizer);
  assert.equal(
    [ends([3, 2]), ends(null)],
    [
      [3, 2, 5, 4],
      [5, 2, 4],
    ],
  );
});

test("Ctrl-C stops an answer, and the next message is answered", async () => {
  const command = new Command([...chat, "--quiet", ...rambling]);
  for (let turn = 1; turn <= 2; turn++) {
    const before = command.stdout.length;
    command.say("Tell me everything.");
    await command.until(() => command.stdout.length > before + 40, `answer ${turn}`);
    command.interrupt();
    await command.until(() => command.stderr.split("(stopped)").length > turn, `stop ${turn}`);
  }
  command.interrupt(); // between answers: told what to do
  await command.until(() => command.stderr.includes("/exit ends it"), "the help");
  command.say("/exit");
  assert.is((await command.ended).status, 0);
});

test("a stop text and a seed hold for every answer", async () => {
  const options = ["--quiet", "--stop", "is"];
  const { stdout } = await tramontane([...chat, ...options], `${first}\n/reset\n${first}\n`);
  assert.is(stdout, "Ketchup is\nKetchup is\n");
  const sampled = [...chat, "--quiet", "--temperature", "1.5", "--seed", "3"];
  const texts = [await tramontane(sampled, `${first}\n${next}\n`), await tramontane(sampled, `${first}\n${next}\n`)];
  assert.is(texts[0].stdout, texts[1].stdout);
});

test.run();
