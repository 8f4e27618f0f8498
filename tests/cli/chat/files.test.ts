// What a chat keeps in files: lines that were typed, and conversations; and its settings.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadConversation, saveConversation } from "../../../src/cli/chat/conversation_file.ts";
import { History } from "../../../src/cli/chat/history.ts";
import { Settings } from "../../../src/cli/chat/settings.ts";
import { failure } from "../../failure.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-chat-"));
const place = (name: string) => join(folder, name);

test("history: the newest first, each once, in a file of the user's own", async () => {
  const path = place("some/where/history");
  const first = await History.read(path);
  assert.equal(first.lines, []);
  for (const line of ["one", "two", "", "one", "x".repeat(20_000)]) await first.add(line);
  assert.equal((await History.read(path)).lines, ["one", "two"]);
  assert.is(readFileSync(path, "utf8"), "one\ntwo\none\n");
  if (process.platform !== "win32") assert.is(statSync(path).mode & 0o777, 0o600);
});

test("history: a long file is cut, and only its end is read", async () => {
  const path = place("long");
  writeFileSync(path, Array.from({ length: 2500 }, (_, i) => `line ${i}\n`).join(""));
  const { lines } = await History.read(path);
  assert.equal([lines.length, lines[0], lines[999]], [1000, "line 2499", "line 1500"]);
  assert.is(readFileSync(path, "utf8").split("\n").length, 1001);
  writeFileSync(path, `${"y".repeat(3 << 20)}\nlast\n`);
  assert.equal((await History.read(path)).lines, ["last"]);
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith("long")),
    ["long"],
    "nothing beside it",
  );
});

test("history: without a file, or where there can be none, a chat goes on", async () => {
  const before = process.env.TRAMONTANE_HISTORY;
  process.env.TRAMONTANE_HISTORY = "";
  const none = await History.read();
  await none.add("x");
  assert.equal(none.lines, []);
  process.env.TRAMONTANE_HISTORY = place("long/er"); // beneath a file
  const impossible = await History.read();
  await impossible.add("x");
  assert.equal(impossible.lines, []);
  if (before === undefined) delete process.env.TRAMONTANE_HISTORY;
  else process.env.TRAMONTANE_HISTORY = before;
});

test("conversations: written as they were read; what is none is named, and not written over", async () => {
  const path = place("talk.json");
  const talk = [
    { role: "system", content: "Short." },
    { role: "user", content: "é\n🦩" },
  ];
  await saveConversation(path, talk);
  assert.equal(JSON.parse(readFileSync(path, "utf8")), talk);
  assert.equal(await loadConversation(path), talk);
  await saveConversation(path, talk.slice(1)); // a conversation may be replaced
  assert.equal(await loadConversation(path), talk.slice(1));
  writeFileSync(path, JSON.stringify({ messages: talk }));
  assert.equal(await loadConversation(path), talk);
  writeFileSync(place("notes.txt"), "my notes");
  assert.match(
    (await failure(saveConversation(place("notes.txt"), talk))).message,
    /notes\.txt: something else is there/,
  );
  assert.is(readFileSync(place("notes.txt"), "utf8"), "my notes");
  for (const [text, message] of [
    ["[", /expected a conversation in JSON/],
    ["3", /expected a list of messages with role and content/],
    ["null", /expected a list of messages/],
    ['[{"role": "user"}]', /expected a list of messages/],
  ] as const) {
    writeFileSync(path, text);
    assert.match((await failure(loadConversation(path))).message, message);
  }
  assert.match((await failure(loadConversation(place("none.json")))).message, /none\.json: .* found nothing/);
});

test("settings: by any of their names; what is wrong is named; an empty value takes one back", () => {
  const settings = new Settings({ seed: 5 });
  const given = () => Object.fromEntries(Object.entries(settings.options).filter(([, value]) => value !== undefined));
  assert.equal(given(), { do_sample: true, seed: 5 });
  settings.set("temp", "0.5");
  settings.set("top-k", "3");
  settings.set("max_new_tokens", "7");
  settings.set("stop", "the end");
  assert.equal(given(), {
    do_sample: true,
    seed: 5,
    temperature: 0.5,
    top_k: 3,
    max_new_tokens: 7,
    stop_strings: ["the end"],
  });
  settings.reseed();
  assert.is(given().seed, 6);
  settings.set("seed", "9");
  assert.is(given().seed, 9);
  for (const name of ["temperature", "top_k", "max_new_tokens", "stop"]) settings.set(name, "");
  assert.equal(given(), { do_sample: true, seed: 9 });
  assert.throws(() => settings.set("top_p", "2"), /\/set top_p: expected a number from 0 to 1, found "2"/);
  assert.throws(() => settings.set("tempreature", "1"), /unknown setting tempreature: did you mean temperature\?/);
  const drawn = new Settings({});
  const [{ seed }] = [drawn.options];
  assert.is(drawn.options.seed, seed);
  drawn.reseed();
  assert.equal([drawn.options.seed, drawn.options.do_sample], [Number(seed) + 1, undefined]);
});

test.after(() => rmSync(folder, { recursive: true }));
test.run();
