// Patterns of tensors' names: what JavaScript's own engine finds, wherever it answers in time; and in time where it does not.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import { NamePattern } from "../../src/quantize/name_pattern.ts";

const names = [
  ...[
    "token_embd.weight",
    "output.weight",
    "blk.0.attn_q.weight",
    "blk.10.attn_k.weight",
    "blk.31.ffn_down_exps.weight",
  ],
  ...["blk.7.ffn_gate_inp.weight", "", "a", "aab", "]x-[", "a/b", "b\nc"],
];

const matches = (source: string, name: string) => new NamePattern(source, "tensor_types").test(name);

test("the same as JavaScript's, for every pattern and name", () => {
  const patterns = [
    ...[
      "attn",
      "attn_(q|k)",
      "blk\\.0\\.attn_(q|k)",
      "^blk",
      "weight$",
      "^$",
      "",
      "a|",
      "|b",
      "(a|ab)(b|)$",
      "^(a|ab)+$",
    ],
    ...[
      "blk\\.([0-9]|1[0-9]|31)\\.",
      "\\.\\d+\\.ffn_(gate|up)_exps",
      "[^a-z]",
      "[a\\]]",
      "[\\]\\-]",
      "[x\\]-]",
      "^.{3}$",
    ],
    ...[
      "a{2}b",
      "a{1,2}b",
      "a{2,}",
      "a{0}b",
      "(?:a?){3}b",
      "(a*)*b",
      "(a*?)+?b",
      "^(?:[a-z]+_?)+\\.weight$",
      "\\s",
      "\\W",
    ],
    ...[
      "/",
      "a\\/b",
      "b.c",
      "x-\\[",
      ".*exps.*",
      "(a|b|c)*$",
      "((((a))))",
      "^(?:|a)+$",
      "(^a|b$)",
      "($)",
      "(?:^|\\.)output",
    ],
  ];
  let found = 0;
  for (const source of patterns) {
    const expected = new RegExp(source, "s");
    for (const name of names) {
      assert.is(matches(source, name), expected.test(name), `${source} in ${JSON.stringify(name)}`);
      if (expected.test(name)) found++;
    }
  }
  assert.ok(found > 150 && found < patterns.length * names.length - 150, `${found}`);
});

test("random patterns of a few parts, on random names", () => {
  let state = 7;
  const draw = (n: number) => (state = (state * 48271) % 2147483647) % n;
  const part = (depth: number): string => {
    const inner = () => Array.from({ length: 1 + draw(3) }, () => part(depth - 1)).join("");
    const one =
      depth > 0 && draw(3) === 0
        ? `(${inner()}${draw(2) ? `|${inner()}` : ""})`
        : ["a", "b", ".", "[ab]", "[^a]"][draw(5)];
    return one + ["", "", "", "*", "+", "?", "{2}", "{1,2}", "*?"][draw(9)];
  };
  let found = 0;
  for (let i = 0; i < 3000; i++) {
    const source = `${draw(2) ? "^" : ""}${part(2)}${part(2)}${draw(2) ? "$" : ""}`;
    const name = Array.from({ length: draw(9) }, () => "abc"[draw(3)]).join("");
    const expected = new RegExp(source, "s").test(name);
    assert.is(matches(source, name), expected, `${source} in ${JSON.stringify(name)}`);
    if (expected) found++;
  }
  assert.ok(found > 500 && found < 2500, `${found}`);
});

test("what takes an engine years is done at once", () => {
  const name = `blk.0.${"ffn_".repeat(60)}weight`;
  const start = performance.now();
  for (const source of [
    "(.+)+!",
    "(.*)*(.*)*(.*)*!",
    "(\\w|\\w\\w)+!$",
    "((a|b|.)*)*!",
    "(.{0,255}){0,255}!",
    "(((.*)*)*)*!",
  ])
    assert.not.ok(matches(source, name));
  const ms = performance.now() - start;
  assert.ok(ms < 5000, `${ms} ms`);
});

test("what is not understood is refused by name", () => {
  for (const source of [
    ...[
      "(",
      ")",
      "a)",
      "[",
      "[a",
      "*",
      "a**",
      "a+*",
      "{2}",
      "a{3,2}",
      "a{256}",
      "a{1,999}",
      "\\",
      "(?=a)",
      "(?!a)",
      "(?<x>a)",
    ],
    ...["\\1", "\\b", "\\p{L}", "[z-a]", "[[:digit:]]", "[]x]", "[^]", "x".repeat(1001)],
  ]) {
    let error: unknown;
    try {
      new NamePattern(source, "tensor_types");
    } catch (thrown) {
      error = thrown;
    }
    assert.instance(error, InputError, source);
    assert.match(
      (error as Error).message,
      /^tensor_types: expected a regular expression (of|with|whose|without) .*, found ".*/,
      source,
    );
  }
});

test.run();
