// tramontane chat: a conversation over standard input.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { turnEnds } from "../../src/generation/turn_ends.ts";
import type { PreTrainedModel } from "../../src/model/pretrained.ts";
import { tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { demo } from "../fixtures.ts";
import { Command, changedDemo, rambling, tramontane, windowless } from "./command.ts";

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
  assert.match(stderr, /^greedy.*\n\/help tells .*[\s\S]*the conversation is forgotten/);
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
  assert.is(stderr.split("/exit ends it").length, 3, "at the start, and beside the unknown command");
  assert.match(stderr, /^\/save FILE /m);
});

test("without -n the context is the bound", async () => {
  const folder = windowless();
  const options = ["--json", "--context", "64", ...rambling.slice(0, -2)];
  const { status, stdout, stderr } = await tramontane(["chat", "-m", folder, ...options], `${first}\n`);
  rmSync(folder, { recursive: true });
  const { prompt_tokens, generated_tokens } = JSON.parse(stdout);
  assert.equal([status, prompt_tokens + generated_tokens], [0, 64], stderr);
});

const objects = (stdout: string) =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("an answer takes what room is left, and a full context leaves the oldest turns out, and says so", async () => {
  const folder = windowless();
  const options = ["-m", folder, "--json", "--context", "100", "-n", "1000"];
  const lines = [
    first,
    next,
    "What is ketchup made of?",
    "What is mustard made of?",
    "What is salsa made of?",
    "Thanks",
  ];
  const { status, stdout, stderr } = await tramontane(["chat", ...options], `${lines.join("\n")}\n`);
  const refused = await tramontane(["chat", ...options, "--refuse-overflow"], `${lines.join("\n")}\n`);
  rmSync(folder, { recursive: true });
  assert.equal([status, objects(stdout).length], [0, lines.length], stderr);
  assert.match(stderr, /\(the context is full: of the conversation, the first \d+ messages are left out\)/);
  assert.is(refused.status, 1);
  assert.match(refused.stderr, /tramontane: the conversation has \d+ tokens, the context holds 100/);
});

test("a turn that fails leaves the conversation as before, and a piped chat with status 1", async () => {
  const strict = "{{ raise_exception('no') if messages[-1].content == 'no' }}[INST] {{ messages[-1].content }} [/INST]";
  const folder = changedDemo({ "chat_template.jinja": strict });
  const { status, stdout, stderr } = await tramontane(["chat", "-m", folder, "--quiet"], `no\n${first}\n`);
  rmSync(folder, { recursive: true });
  assert.equal([status, stdout.trim().split("\n").length], [1, 1]);
  assert.is(stderr, "tramontane: no\n");
});

test("a model that has no template is refused at once, with the remedy; --chat-template is one", async () => {
  const folder = changedDemo({ "chat_template.jinja": "{{ raise_exception('never') }}" });
  const without = await tramontane(["chat", "-m", folder], `${first}\n`);
  assert.equal([without.status, without.stdout], [1, ""]);
  assert.match(without.stderr, /^tramontane: never \(--chat-template FILE takes one from a file\)\n$/);
  const args = ["chat", "-m", folder, "--quiet", "--chat-template", join(demo, "chat_template.jinja")];
  const { status, stdout } = await tramontane(args, `${first}\n`);
  rmSync(folder, { recursive: true });
  assert.equal([status, stdout], [0, `${answer}\n`]);
});

test("messages of several lines, a first message, a system prompt, and what they come to in a file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-chat-"));
  const file = join(folder, "talk.json");
  const args = [...chat, "--quiet", "-n", "3", "--system", "Be brief.", "-p", "Zero"];
  const lines = ['"""', "one", "two", '"""', "three\\", "four", "/undo", "//five", `/save ${file}`];
  const { status, stderr } = await tramontane(args, `${lines.join("\n")}\n`);
  assert.equal([status, stderr], [0, ""]);
  const saved: { role: string; content: string }[] = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(saved[0], { role: "system", content: "Be brief." });
  assert.equal(
    saved.filter(({ role }) => role === "user").map(({ content }) => content),
    ["Zero", "one\ntwo", "/five"],
  );
  const again = await tramontane([...chat, "--json", "-n", "3"], `/load ${file}\n/undo\n//five\n`);
  rmSync(folder, { recursive: true });
  assert.is(objects(again.stdout)[0].text, saved.at(-1)!.content);
  assert.match(again.stderr, /7 messages of .*talk\.json\ntaken back: \/five\n/);
});

test("/regen answers again by the next seed, /set and the seed are told", async () => {
  const lines = ["/set temperature 5", "/set seed 3", first, "/regen", "/set top_p 2", "/set", "/exit"];
  const { status, stdout, stderr } = await tramontane([...chat, "--json", "-n", "8"], `${lines.join("\n")}\n`);
  const [one, two] = objects(stdout);
  assert.equal([status, one.seed, two.seed, two.prompt_tokens], [1, 3, 4, one.prompt_tokens], "one command has failed");
  assert.is.not(one.text, two.text);
  assert.match(
    stderr,
    /\/set top_p: expected a number from 0 to 1, found "2"\nsampled \(temperature 5, top_k 50\), seed 4\n$/,
  );
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
  command.say("/set");
  await command.until(() => command.stderr.includes("sampled (temperature 100, top_k 0), seed 2"), "the settings");
  command.interrupt();
  await command.until(() => command.stderr.split("/exit ends it").length === 3, "the help again");
  command.interrupt(); // twice ends it
  assert.is((await command.ended).status, 130);
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
