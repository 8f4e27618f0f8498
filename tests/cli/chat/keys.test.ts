// Keys of a terminal on their way to the line editor: pastes, typing ahead, Ctrl-C while nobody reads.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Keys, LINE_END } from "../../../src/cli/chat/keys.ts";

function made() {
  const passed: string[] = [];
  const told: string[] = [];
  const keys = new Keys(
    (text) => passed.push(text),
    (key) => told.push(key),
  );
  return { keys, passed, told, take: () => passed.splice(0).join("") };
}

const paste = (text: string) => `\x1b[200~${text}\x1b[201~`;

test("keys pass up to a line's end; what is typed ahead waits until the next line is read", () => {
  const { keys, take } = made();
  keys.feed("ahead");
  assert.is(take(), "");
  keys.read();
  assert.is(take(), "ahead");
  keys.feed(" of\rtime\rand more");
  assert.is(take(), " of\r");
  keys.feed("!");
  keys.read();
  assert.is(take(), "time\r");
  keys.read();
  assert.is(take(), "and more!");
  keys.feed("\x1b[A\x7f");
  assert.is(take(), "\x1b[A\x7f", "arrows and backspace are the editor's");
  keys.feed("\r\nx\n");
  keys.read();
  keys.read();
  assert.is(take(), "\rx\r", "every line end is one");
});

test("a paste is text of one line, whatever it holds", () => {
  const { keys, take } = made();
  keys.read();
  keys.feed(`say ${paste("one\r\ntwo\rthree\nfour\x03\x1b[A\tfive")}`);
  assert.is(take(), `say one${LINE_END}two${LINE_END}three${LINE_END}four[A\tfive`);
  keys.feed("\r");
  assert.is(take(), "\r");
});

test("a paste may come in pieces, cut anywhere", () => {
  const whole = `a${paste("b\nc")}d\r`;
  for (let at = 1; at < whole.length; at++)
    for (let second = at; second < whole.length; second++) {
      const { keys, take } = made();
      keys.read();
      for (const part of [whole.slice(0, at), whole.slice(at, second), whole.slice(second)]) keys.feed(part);
      // An escape by itself is a key, and passed on as soon as it comes.
      if (!(at === 1 && second === 2)) assert.is(take(), `ab${LINE_END}cd\r`, `cut at ${at} and ${second}`);
    }
});

test("a paste that comes while nobody reads is held, and no key of it is one", () => {
  const { keys, take, told } = made();
  keys.feed(paste("x\x03\ny"));
  assert.equal([take(), told], ["", []]);
  keys.read();
  assert.is(take(), `x${LINE_END}y`);
});

test("Ctrl-C and Ctrl-Z are told while nobody reads, and the editor's keys while somebody does", () => {
  const { keys, take, told } = made();
  keys.feed("ab\x03c\x1a");
  assert.equal(told, ["interrupt", "suspend"]);
  keys.read();
  assert.is(take(), "abc", "what was typed ahead is kept");
  keys.feed("\x03");
  assert.equal([take(), told.length], ["\x03", 2]);
  keys.feed("\r\x03");
  assert.equal([take(), told.length], ["\r", 3], "behind a line's end nobody reads any more");
});

test.run();
