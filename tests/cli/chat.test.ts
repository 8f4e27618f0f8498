// tramontane chat: a conversation over standard input.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { demo } from "../fixtures.ts";
import { Command, rambling, tramontane } from "./command.ts";

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
