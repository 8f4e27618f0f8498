// Lines become messages and commands.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Entry, MessageReader } from "../../../src/cli/chat/messages.ts";

/** What lines come to: messages as texts, commands as lists, `…` where more is wanted. */
function read(...lines: string[]): unknown[] {
  const reader = new MessageReader();
  const told = (entry: Entry | undefined) =>
    entry && (entry.kind === "message" ? entry.text : [entry.name, entry.argument]);
  const found = lines.map((line) => {
    const entry = reader.add(line);
    return told(entry) ?? (reader.open ? "…" : "nothing");
  });
  const last = told(reader.end());
  return last === undefined ? found : [...found, { end: last }];
}

test("a line is a message, without the space around it; an empty one is nothing", () => {
  assert.equal(read("Hello", "  spaced\t", "", "   "), ["Hello", "spaced", "nothing", "nothing"]);
});

test("commands: a slash and letters as the first word; a second slash makes it a message", () => {
  assert.equal(read("/exit", "/save  my file.json ", "/Hilfe", "/größe x"), [
    ["exit", ""],
    ["save", "my file.json"],
    ["Hilfe", ""],
    ["größe", "x"],
  ]);
  assert.equal(read("/etc/hosts is a file", "/2", "/", "//exit", "//", "a /exit"), [
    ...["/etc/hosts is a file", "/2", "/", "/exit", "/", "a /exit"],
  ]);
});

test("a backslash at the end goes on in the next line; two are two", () => {
  assert.equal(read("one \\", "two\\", "three"), ["…", "…", "one \ntwo\nthree"]);
  assert.equal(read("C:\\\\", "x\\\\\\", "y"), ["C:\\\\", "…", "x\\\\\ny"]);
  assert.equal(read("one\\", "/exit"), ["…", "one\n/exit"], "no command within a message");
  assert.equal(read("one\\"), ["…", { end: "one" }]);
});

test("three quotes begin and end a message of several lines", () => {
  assert.equal(read('"""', "one", "", "/exit", '"""'), ["…", "…", "…", "…", "one\n\n/exit"]);
  assert.equal(read('"""one', 'two\\"""'), ["…", "one\ntwo\\"]);
  assert.equal(read('"""one line"""', '""""""', '"""', '"""'), ["one line", "nothing", "…", "nothing"]);
  assert.equal(read('"""', "one"), ["…", "…", { end: "one" }]);
  assert.equal(read('say """'), ['say """']);
});

test("a paste of several lines is a message as it stands", () => {
  assert.equal(read("/exit\nnow\\\n", '"""quoted\ntext"""', '"""doc"""\ncode', "\n\n"), [
    ...["/exit\nnow\\", "quoted\ntext", '"""doc"""\ncode', "nothing"],
  ]);
  assert.equal(read('"""', "pasted\nlines", '"""'), ["…", "…", "pasted\nlines"]);
});

test("what was begun can be forgotten", () => {
  const reader = new MessageReader();
  reader.add('"""');
  reader.add("one");
  reader.clear();
  assert.not(reader.open);
  assert.equal(reader.add("two"), { kind: "message", text: "two" });
});

test.run();
