// Patterns that cut a text: as Hugging Face's tokenizers does (patterns.json, make_patterns.py), or refused by name; in work
// that grows with the text.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenizerError } from "../../src/errors.ts";
import { PatternSplitter } from "../../src/text/splitter.ts";
import { TEKKEN_PATTERN } from "../../src/text/tekken.ts";
import { character16 } from "../../src/text/unicode.ts";
import { root } from "../fixtures.ts";

const { texts, patterns } = JSON.parse(readFileSync(join(root, "tests", "text", "patterns.json"), "utf8"));

test("the stretches are those of Hugging Face's tokenizers", () => {
  assert.ok(patterns.length >= 40 && texts.length === 44);
  assert.is(patterns[0].pattern, TEKKEN_PATTERN);
  for (const { pattern, isolated, matches } of patterns) {
    const [all, only] = [true, false].map((between) => new PatternSplitter(pattern, between, "p"));
    for (const [i, text] of texts.entries()) {
      assert.equal(all.split(text), isolated[i], `${pattern} ${JSON.stringify(text)}`);
      assert.equal(only.split(text), matches[i], `${pattern} ${JSON.stringify(text)}, matches`);
    }
  }
});

test("a repetition of one is none", () => {
  for (const text of ["baab", "a", ""])
    assert.equal(
      new PatternSplitter("a{1}", true, "p").split(text),
      new PatternSplitter("a", true, "p").split(text),
      text,
    );
});

const refused = (pattern: string, message: RegExp, text?: string) =>
  assert.throws(
    () => {
      const splitter = new PatternSplitter(pattern, true, "p");
      if (text !== undefined) splitter.split(text);
    },
    (error: unknown) => error instanceof TokenizerError && message.test(error.message),
    pattern,
  );

test("what other engines read otherwise is refused by name", () => {
  const cases: [string, RegExp][] = [
    ["(a)", /p: "\(a\)" is not supported, at character 1 of "\(a\)"/],
    ["(?i:a)", /"\(\?i" is not supported/],
    ["(?:a|b)", /"\(\?:" is not supported/],
    ["(?<!a)b", /"\(\?<" is not supported/],
    ["(?!ab)c", /"\( of more than one character" is not supported/],
    ["a\\b", /"\\\\?b" is not supported/],
    ["\\w+", /"\\\\?w" is not supported/],
    ["\\p{Han}", /p\{Han\}" is not supported/],
    ["\\p{Cn}", /p\{Cn\}" is not supported/],
    ["\\pL", /p\{\}" is not supported/],
    ["\\1", /"\\\\?1" is not supported/],
    ["\\", /is not supported/],
    ["^a", /"\^" is not supported/],
    ["a$", /"\$" is not supported/],
    ["a.", /"\." is not supported/],
    ["a+?", /"\? behind a repetition" is not supported/],
    ["a{2}+", /"\+ behind a repetition" is not supported/],
    ["a**", /"\* behind a repetition" is not supported/],
    ["a{,2}", /"\{" is not supported/],
    ["a{3,2}", /"\{3,2\}" is not supported/],
    ["a{0}", /"\{0\}" is not supported/],
    ["a{2000}", /"\{2000\}" is not supported/],
    ["a{1", /"\{" is not supported/],
    ["*a", /"\*" is not supported/],
    ["a)b", /"\)" is not supported/],
    ["[a", /"\[ without an end" is not supported/],
    ["[a[b]]", /"\[" is not supported/],
    ["[a&&b]", /"&" is not supported/],
    ["[z-a]", /"z-a" is not supported/],
    ["[\\s-a]", /"- between classes" is not supported/],
    ["[]", /"an empty class" is not supported/],
    ["a*", /expected alternatives that need a character, found "a\*"/],
    ["a|", /expected alternatives that need a character, found ""/],
    ["(?!a)|b", /expected alternatives that need a character/],
    ["\u088f", /expected characters of Unicode 16/],
    ["a".repeat(1025), /expected at most 1024 characters/],
    [
      `${Array.from({ length: 32 }, (_, i) => String.fromCharCode(65 + i))
        .filter((c) => !"[\\]^".includes(c))
        .join("|")}|b|c|d|e|f`,
      /at most 31 different characters and classes/,
    ],
  ];
  for (const [pattern, message] of cases) refused(pattern, message);
});

test("a pattern that tries the same again and again is stopped", () => {
  const start = performance.now();
  for (const [pattern, text] of [
    ["a+b|c", "a".repeat(100_000)],
    ["a*a*a*a*a*b|c", "a".repeat(1000)],
    ["a{0,1000}a{0,1000}b|c", "a".repeat(5000)],
    ["[ab]+[ac]+[ad]+x|a", "a".repeat(100_000)],
  ])
    refused(pattern, /expected a pattern of at most 64 steps for each of \d+ characters, found more/, text);
  assert.ok(performance.now() - start < 10_000);
});

test("Tekken's pattern takes long stretches of every kind", () => {
  const splitter = new PatternSplitter(TEKKEN_PATTERN, false, "t");
  for (const c of ["A", "a", "ʰ", "字", "\u0301", "1", " ", "\n", "/", "!", "\u3000", "𐐀", "a\n", "A!", " \n"]) {
    const text = c.repeat(300_000);
    assert.is(splitter.split(text).join("").length, text.length);
  }
});

test("characters are those of Unicode 16", () => {
  assert.is(character16(0x88f), "\u0378");
  assert.is(character16(0x33479), "\u0378");
  assert.is(character16(0x3347a), "\u{3347a}");
  assert.match(character16(0x295), /\p{Ll}/u);
  assert.is(character16(65), "A");
});

test.run();
