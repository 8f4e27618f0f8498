// The command in a terminal: a pseudo-terminal that util-linux's `script` gives. Elsewhere there is nothing to test with.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { demo, root } from "../fixtures.ts";
import { rambling, shellWords } from "./command.ts";

const { greedy } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
const { messages, text } = greedy.find((c: { name: string }) => c.name === "chat_2_1");
const [first, answer, next] = messages.map((m: { content: string }) => m.content);

const there = /util-linux/.test(spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "");
if (!there) console.log("# no util-linux script: terminals are not tested");

const folder = mkdtempSync(join(tmpdir(), "tramontane-terminal-"));

/** A run of the command whose three streams are one terminal. */
class Terminal {
  shown = "";
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<number | null>;
  private seen = 0;

  constructor(args: readonly string[], TERM = "dumb") {
    const command = ["--command", shellWords(...args)];
    this.process = spawn("script", ["--quiet", "--flush", "--return", ...command, "/dev/null"], {
      cwd: root,
      env: { ...process.env, TERM, TRAMONTANE_HISTORY: join(folder, "history") },
    });
    this.process.stdout.setEncoding("utf8").on("data", (piece: string) => (this.shown += piece));
    this.ended = new Promise((resolve) => this.process.on("close", resolve));
  }

  type(keys: string): void {
    this.process.stdin.write(keys);
  }

  /** Waits for a text behind what was waited for before. @throws when it does not come within a minute */
  async until(wanted: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    for (let at = -1; at < 0; at = this.shown.indexOf(wanted, this.seen)) {
      if (Date.now() > deadline) {
        this.process.kill("SIGKILL");
        throw new Error(`waiting for ${JSON.stringify(wanted)}: ${JSON.stringify(this.shown.slice(this.seen))}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.seen = this.shown.indexOf(wanted, this.seen) + wanted.length;
  }
}

test("a chat in a terminal prompts, answers and keeps the conversation", async () => {
  if (!there) return;
  const chat = new Terminal(["chat", "-m", "models/demo"]);
  await chat.until("/exit ends it");
  await chat.until("> ");
  chat.type(`${first}\r`);
  await chat.until(answer);
  await chat.until("tokens/s");
  await chat.until("> ");
  chat.type(`${next}\r`);
  await chat.until(text);
  await chat.until("> ");
  chat.type("/exit\r");
  assert.is(await chat.ended, 0);
});

test("Ctrl-C stops an answer, and at the prompt tells how to end; Ctrl-D ends", async () => {
  if (!there) return;
  const chat = new Terminal(["chat", "-m", "models/demo", "--quiet", ...rambling]);
  await chat.until("> ");
  chat.type(`${first}\r`);
  await chat.until(first);
  const echoed = chat.shown.length;
  while (chat.shown.length < echoed + 40) await new Promise((resolve) => setTimeout(resolve, 20));
  chat.type("\x03");
  await chat.until("(stopped)");
  await chat.until("> ");
  chat.type("\x03");
  await chat.until("/exit ends it");
  await chat.until("> ");
  chat.type("\x04");
  assert.is(await chat.ended, 0);
});

const ready = async (args: readonly string[] = [], TERM = "xterm"): Promise<Terminal> => {
  const chat = new Terminal(["chat", "-m", "models/demo", "--quiet", ...args], TERM);
  await chat.until("> ");
  return chat;
};

test("a paste of several lines is one message; three quotes and a backslash wait for more", async () => {
  if (!there) return;
  const file = join(folder, "talk.json");
  const chat = await ready(["-n", "2"]);
  chat.type("\x1b[200~first line\rsecond line\x1b[201~");
  await chat.until("first line⏎second line");
  chat.type("\r");
  await chat.until("> ");
  chat.type('"""\r');
  await chat.until("… ");
  chat.type('quoted"""\r');
  await chat.until("> ");
  chat.type("one\\\r");
  await chat.until("… ");
  chat.type("two\r");
  await chat.until("> ");
  chat.type(`/save ${file}\r`);
  await chat.until("> ");
  chat.type("\x04");
  assert.is(await chat.ended, 0);
  const saved: { role: string; content: string }[] = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(
    saved.filter(({ role }) => role === "user").map(({ content }) => content),
    ["first line\nsecond line", "quoted", "one\ntwo"],
  );
});

for (const TERM of ["xterm", "dumb"])
  test(`Ctrl-C clears what was typed, and a message that was begun; twice on an empty line it ends (${TERM})`, async () => {
    if (!there) return;
    const chat = await ready([], TERM);
    chat.type("half a mess\x03");
    await chat.until("> ");
    chat.type('"""\r');
    await chat.until("… ");
    chat.type("more\r");
    await chat.until("… ");
    chat.type("\x03");
    await chat.until("> ");
    chat.type(`${first}\r`);
    await chat.until(answer);
    await chat.until("> ");
    chat.type("\x03");
    await chat.until("Ctrl-C again or /exit ends it");
    await chat.until("> ");
    chat.type("\x03");
    assert.is(await chat.ended, 130);
  });

test("what is typed while an answer comes is kept until it has come", async () => {
  if (!there) return;
  const chat = await ready();
  chat.type(`${first}\r${next}\r/exit`); // all of it before the first answer
  await chat.until(first);
  await chat.until(`${answer}\r\n`);
  await chat.until(next);
  await chat.until(`${text}\r\n`);
  await chat.until("/exit");
  chat.type("\r");
  assert.is(await chat.ended, 0);
});

test("the lines of an earlier chat are in the history", async () => {
  if (!there) return;
  const before = await ready();
  before.type("/system one of old\r");
  await before.until("> ");
  before.type("\x04");
  assert.is(await before.ended, 0);
  const chat = await ready();
  chat.type("\x1b[A");
  await chat.until("/system one of old");
  chat.type("\x15/exit\r");
  assert.is(await chat.ended, 0);
});

test.after(() => rmSync(folder, { recursive: true }));
test.run();
