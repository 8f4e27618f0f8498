// What tokenizer files may ask for, limit by limit; and the tables that make their work one pass, each against a readable
// twin. That hostile files take little time and memory is the fuzzer's to show (tests/fuzz/multiply_targets.ts).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, TokenizerError } from "../../src/errors.ts";
import { Automaton } from "../../src/text/automaton.ts";
import { TEXT_LIMITS } from "../../src/text/limits.ts";
import { Literals } from "../../src/text/literals.ts";
import { LongestLiterals } from "../../src/text/longest_literals.ts";
import { MergeTable } from "../../src/text/merges.ts";
import { PairMap } from "../../src/text/pair_map.ts";
import { PieceCuts } from "../../src/text/piece_cuts.ts";
import { readConfig } from "../../src/text/special_tokens.ts";
import { readTekken } from "../../src/text/tekken.ts";
import { replaceAll } from "../../src/text/text_form.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerJSON } from "../../src/text/tokenizer_json.ts";
import type { AddedToken } from "../../src/text/vocabulary.ts";
import { demo, root } from "../fixtures.ts";
import { uniform } from "../kernels/random.ts";

const fresh = (): any => JSON.parse(readFileSync(join(demo, "tokenizer.json"), "utf8"));

function tokenizerOf(change: (file: any) => void): Tokenizer {
  const file = fresh();
  change(file);
  const vocabulary = readTokenizerJSON(file, "t");
  return new Tokenizer(vocabulary, readConfig({}, vocabulary));
}

const refuses = (call: () => unknown, pattern: RegExp) =>
  assert.throws(call, (error: unknown) => {
    assert.instance(error, TokenizerError);
    assert.match((error as Error).message, pattern);
    return true;
  });

const replace = (pattern: string, content: string) => ({ type: "Replace", pattern: { String: pattern }, content });
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const added = (content: string, id: number, normalized = false) => ({ id, content, special: false, normalized });

test("rules make of a text at most a few times what it was", () => {
  const doubling = (count: number) => (file: any) =>
    void (file.normalizer = { type: "Sequence", normalizers: times(count, replace("a", "aa")) });
  // A text of n may grow to 4 n + 1024: 10 doublings of one letter, not 11; two of a long text, not three.
  assert.is(
    tokenizerOf(doubling(10)).decode(tokenizerOf(doubling(10)).encode("a", { add_special_tokens: false })).length,
    1024,
  );
  refuses(
    () => tokenizerOf(doubling(11)).encode("a"),
    /t: normalizer: expected rules that make at most 1028 characters/,
  );
  const long = "a".repeat(10_000);
  tokenizerOf(doubling(2)).encode(long);
  refuses(() => tokenizerOf(doubling(3)).encode(long), /at most 41024 characters/);
  // All stretches between special tokens together: "<s>aa" doubled twice is 4 · 2 of its 5.
  tokenizerOf(doubling(2)).encode("<s>aa".repeat(1000));
  refuses(() => tokenizerOf(doubling(4)).encode("<s>aa".repeat(1000)), /normalizer: expected rules that make at most/);
  // On loading, for tokens that are sought in normalized text.
  refuses(
    () =>
      tokenizerOf((file) => {
        doubling(28)(file);
        file.added_tokens.push(added("a?", 1600, true));
      }),
    /added token "a\?": expected rules that make at most/,
  );
  const prepending = (file: any) => {
    file.normalizer = { type: "Sequence", normalizers: times(3, { type: "Prepend", prepend: "b".repeat(400) }) };
  };
  refuses(() => tokenizerOf(prepending).encode("a"), /normalizer: expected rules/);
  // And on the way back, in all three of its forms.
  const back = tokenizerOf((file) => file.decoder.decoders.unshift(...times(12, replace("a", "aa"))));
  const ids = [back.convert_tokens_to_ids("a")!];
  for (const call of [() => back.decode(ids), () => back.decode_stream().push(ids[0]), () => back.token_bytes(ids[0])])
    refuses(call, /t: decoder: expected rules/);
  assert.is(back.decode([back.convert_tokens_to_ids("b")!]), "b");
});

test("steps, and what they say, are no more and no longer than in use", () => {
  const many = times(TEXT_LIMITS.steps + 1, replace("q", "q"));
  const cases: [(file: any) => void, RegExp][] = [
    [
      (f) => (f.normalizer = { type: "Sequence", normalizers: many }),
      /normalizer: expected at most 32 steps, found 33/,
    ],
    [
      (f) =>
        (f.normalizer = {
          type: "Sequence",
          normalizers: times(6, { type: "Sequence", normalizers: many.slice(0, 6) }),
        }),
      /normalizer: expected at most 32 steps, found 36/,
    ],
    [(f) => f.decoder.decoders.unshift(...many), /decoder: expected at most 32 steps/],
    [(f) => f.model.merges.push(" ".repeat(2 ** 22)), /model.merges\[\d+\]: expected two tokens/],
    [
      (f) => (f.pre_tokenizer = { type: "Metaspace", replacement: "▁".repeat(2 ** 22) }),
      /pre_tokenizer.replacement: expected one character/,
    ],
    [
      (f) => (f.normalizer = replace("a", "b".repeat(1025))),
      /normalizer.content: expected at most 1024 characters, found 1025/,
    ],
    [(f) => (f.normalizer = replace("b".repeat(1025), "a")), /normalizer.pattern: expected at most 1024/],
    [
      (f) => (f.normalizer = { type: "Prepend", prepend: "b".repeat(1025) }),
      /normalizer.prepend: expected at most 1024/,
    ],
    [(f) => f.added_tokens.push(added("b".repeat(1025), 1600)), /added_tokens\[\d+\].content: expected at most 1024/],
    [
      (f) => (f.model.vocab["b".repeat(1025)] = 1600),
      /model.vocab\["b+…"\]: expected at most 1024 characters, found 1025/,
    ],
    [
      (f) =>
        f.added_tokens.push(...Array.from({ length: 1025 }, (_, i) => added(`${i}`.padStart(1024, "x"), 1600 + i))),
      /expected added tokens of 1048576 characters at most, found 10496\d\d/,
    ],
  ];
  for (const [change, pattern] of cases) refuses(() => tokenizerOf(change), pattern);
  tokenizerOf((f) => f.added_tokens.push(added("b".repeat(1024), 1600)));
  tokenizerOf((f) => (f.normalizer = { type: "Sequence", normalizers: many.slice(1) }));
});

test("a post-processor says a text, and what stands around it, a bounded number of times", () => {
  const template = (places: number, items: number, ids: number) => (file: any) => {
    const text = { Sequence: { id: "A", type_id: 0 } };
    const special = { SpecialToken: { id: "x", type_id: 0 } };
    const single = [...times(places, text), ...times(items, special)];
    const special_tokens = { x: { id: "x", ids: times(ids, 1), tokens: [] } };
    file.post_processor = { type: "TemplateProcessing", single, pair: [text], special_tokens };
  };
  assert.is(tokenizerOf(template(8, 16, 16)).encode("").length, 256);
  refuses(() => tokenizerOf(template(9, 0, 0)), /post_processor.single: expected at most 8 places of a text, found 9/);
  refuses(
    () => tokenizerOf(template(1, 16, 17)),
    /post_processor.single: expected at most 256 special tokens, found 272/,
  );
  refuses(() => tokenizerOf(template(1, 1, 257)), /post_processor.single\[1\]: expected at most 256 ids, found 257/);
  refuses(() => tokenizerOf(template(1, 256, 0)), /post_processor.single: expected at most 256 parts, found 257/);
});

test("padding fills no more than a call may ask for", () => {
  const tokenizer = tokenizerOf(() => {});
  tokenizer.pad_token = "</s>";
  for (const options of [
    { padding: "max_length", max_length: 1e9 },
    { padding: true, pad_to_multiple_of: 2 ** 25 },
  ] as const)
    assert.throws(
      () => tokenizer("a", options),
      (error: unknown) => error instanceof InputError && /padding: \d+ pad tokens/.test(error.message),
    );
  tokenizer.model_max_length = 1e9;
  assert.throws(() => tokenizer("a", { padding: "max_length" }), /16777216 are allowed/);
  assert.is(tokenizer(["a", "b"], { padding: "max_length", max_length: 5000 }).input_ids.dims[1], 5000);
});

test("a stretch without an end is merged in time that grows little faster than it", () => {
  const tokenizer = tokenizerOf(
    (file) => (file.pre_tokenizer = { type: "Metaspace", prepend_scheme: "never", split: false }),
  );
  const small = JSON.parse(readFileSync(join(root, "tests", "text", "tekken_small", "tekken.json"), "utf8"));
  const vocabulary = readTekken(small, "t", { add_bos_token: true, add_eos_token: false });
  const tekken = new Tokenizer(vocabulary, readConfig({}, vocabulary));
  for (const each of [tokenizer, tekken])
    for (const letters of ["a", "the", "ab ", "é"]) {
      const seconds = [50_000, 400_000].map((length) => {
        const text = letters.repeat(length / letters.length);
        const start = performance.now();
        each.encode(text);
        return performance.now() - start;
      });
      // Eight times the text; its square would be 64 times, and take minutes.
      assert.ok(seconds[1] < 40 * seconds[0] + 2000, `${letters}: ${seconds}`);
    }
});

test("pieces are made of pieces in no more ways than vocabularies have", () => {
  const scored = new Map(Array.from({ length: 1024 }, (_, i) => ["a".repeat(i + 1), -i]));
  const ids = new Map([...scored.keys()].map((piece, i) => [piece, i]));
  refuses(
    () => MergeTable.fromScores(scored, ids, "t"),
    /t: expected at most 98304 ways to make a piece of two others/,
  );
});

// ------------------------------------------------------------------------------------------------ tables and their twins

const draws = uniform(7);
const below = (n: number) => Math.floor(draws() * n);
const word = (letters: string, most: number) =>
  Array.from({ length: 1 + below(most) }, () => letters[below(letters.length)]).join("");

test("an automaton finds the longest pattern at every place", () => {
  let found = 0;
  for (let round = 0; round < 200; round++) {
    const letters = "ab\ud83e\udda9"; // with surrogates, apart and together
    const patterns = [...new Set(Array.from({ length: 1 + below(12) }, () => word(letters, 6)))];
    const text = word(letters, 60);
    const automaton = new Automaton(patterns);
    const at = new Map<number, string[]>();
    automaton.scan(text, (start, node) => {
      const all: string[] = [];
      for (let each = node; each !== 0; each = automaton.shorter(each)) all.push(patterns[automaton.patternAt(each)]);
      at.set(start, all);
    });
    for (let start = 0; start < text.length; start++) {
      const expected = patterns
        .filter((pattern) => text.startsWith(pattern, start))
        .sort((a, b) => b.length - a.length);
      assert.equal(at.get(start) ?? [], expected);
      found += expected.length;
    }
  }
  assert.ok(found > 1500, `${found}`);
  new Automaton([]).scan("text", () => assert.unreachable("nothing to find"));
});

test("literals are the leftmost and longest, with their white space, as a simple reader finds them", () => {
  const plain = { special: false, normalized: undefined };
  for (let round = 0; round < 200; round++) {
    const contents = [...new Set(Array.from({ length: 1 + below(8) }, () => word("ab ", 4)))];
    const tokens = contents.map(
      (content, id): AddedToken => ({
        id,
        content,
        ...plain,
        single_word: !below(4),
        lstrip: !below(3),
        rstrip: !below(3),
      }),
    );
    const text = word("ab c", 50);
    const pieces = [...new Literals(tokens.map((token) => [token.content, token])).split(text)];
    assert.equal(pieces, simply(text, tokens));
  }
});

/** The same, by trying every token at every place. */
function simply(text: string, tokens: readonly AddedToken[]) {
  const pieces: unknown[] = [];
  let done = 0;
  for (let i = 0; i < text.length; ) {
    const [token] = tokens
      .filter(({ content }) => text.startsWith(content, i))
      .sort((a, b) => b.content.length - a.content.length);
    const end = token ? i + token.content.length : i + 1;
    const inside = token?.single_word && (/[a-z]$/.test(text.slice(0, i)) || /^[a-z]/.test(text.slice(end)));
    if (token && !inside) {
      let start = Math.max(done, i);
      while (token.lstrip && start > done && text[start - 1] === " ") start--;
      if (start > done) pieces.push({ text: text.slice(done, start), start: done });
      pieces.push({ id: token.id });
      done = end;
      while (token.rstrip && text[done] === " ") done++;
    }
    i = end;
  }
  if (done < text.length) pieces.push({ text: text.slice(done), start: done });
  return pieces;
}

test("the longest literals first, as llama.cpp finds them", () => {
  const plain = { special: false, normalized: undefined, single_word: false, lstrip: false, rstrip: false };
  for (let round = 0; round < 200; round++) {
    const contents = [...new Set(Array.from({ length: 1 + below(10) }, () => word("abé", 5)))];
    const tokens = contents.map((content, id): AddedToken => ({ id, content, ...plain }));
    const text = word("abéc", 60);
    // One token after the other, in what those before have left.
    const bytes = ({ content }: AddedToken) => new TextEncoder().encode(content).length;
    let pieces: unknown[] = [{ text, start: 0 }];
    for (const { content, id } of [...tokens].sort((a, b) => bytes(b) - bytes(a) || a.id - b.id))
      pieces = pieces.flatMap((piece) => {
        const { text, start } = piece as { text?: string; start: number };
        if (text === undefined) return [piece];
        const parts: unknown[] = [];
        let at = 0;
        for (const [i, part] of text.split(content).entries()) {
          if (i > 0) parts.push({ id });
          if (part !== "") parts.push({ text: part, start: start + at });
          at += part.length + content.length;
        }
        return parts;
      });
    assert.equal([...new LongestLiterals(tokens).split(text)], pieces);
  }
});

test("cuts of pieces are those that trying finds", () => {
  for (let round = 0; round < 100; round++) {
    const pieces = new Map(Array.from({ length: 1 + below(60) }, () => [word("abc\uffff\0", 8), 0]));
    const cuts = new PieceCuts(pieces, 8);
    for (const piece of pieces.keys()) {
      const tried = Array.from({ length: piece.length - 1 }, (_, i) => i + 1);
      assert.equal(
        cuts.of(piece),
        tried
          .map((cut) => [piece.slice(0, cut), piece.slice(cut)])
          .filter((parts) => parts.every((part) => pieces.has(part))),
      );
    }
  }
});

test("a map of pairs is a map", () => {
  const map = new PairMap();
  const twin = new Map<string, number>();
  for (let i = 0; i < 20_000; i++) {
    const [left, right, value] = [below(300) * 7_000_001, below(40), below(2 ** 31)];
    map.set(left, right, value);
    twin.set(`${left},${right}`, value);
  }
  for (const [key, value] of twin) assert.is(map.get(...(key.split(",").map(Number) as [number, number])), value);
  for (let left = 0; left < 1000; left++) assert.is(map.get(left, 50), -1);
});

test("a replacement that would make too much is refused before it is made, one that just fits is not", () => {
  const ten = { pattern: "a", content: "bbbbbbbbbb" };
  assert.is(replaceAll("a".repeat(100), ten, 1000, "here"), "b".repeat(1000));
  for (const most of [999, 500, 101])
    assert.throws(
      () => replaceAll("a".repeat(100), ten, most, "here"),
      (error: Error) => error instanceof TokenizerError && error.message.includes(`at most ${most} characters`),
    );
  assert.is(replaceAll("aaab".repeat(100), ten, 3100, "here").length, 3100);
  assert.throws(() => replaceAll("aaab".repeat(100), ten, 3099, "here"), /here: expected rules/);
});

test.run();
