// TextStreamer: the pieces of a text word by word, with Mixtral's tokenizer over tokenizers/mixtral/stream.json, and by
// hand for what Hugging Face's streamer does at line ends, CJK characters and prompts.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import { TextStreamer, type TextStreamerOptions } from "../../src/generation/streamers.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { fixture, json } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";

interface StreamCase {
  name: string;
  skip: boolean;
  ids: number[];
  text: string;
}
const cases: StreamCase[] = json("tokenizers/mixtral/stream.json").cases;
const tokenizer = await loadTokenizer(await repositoryAt(fixture("tokenizers/mixtral")));

/** The pieces that a streamer emits for a prompt and then one id at a time. */
function stream(
  decoder: { decode(ids: number[], options?: object): string },
  prompt: number[],
  ids: number[],
  options: TextStreamerOptions = {},
) {
  const pieces: string[] = [];
  const streamer = new TextStreamer(decoder, { callback_function: (text) => pieces.push(text), ...options });
  streamer.put([prompt]);
  for (const id of ids) streamer.put([[id]]);
  streamer.end();
  return pieces;
}

const halfCharacter = /[\ud800-\udbff]$|^[\udc00-\udfff]/;

test("the pieces are the text, none ends within a character", () => {
  let pieces = 0;
  for (const c of cases) {
    const found = stream(tokenizer, [1], c.ids, { skip_prompt: true, skip_special_tokens: c.skip });
    assert.is(found.join(""), c.text, c.name);
    for (const piece of found) {
      assert.not(halfCharacter.test(piece), c.name);
      if (!c.text.includes("\ufffd")) assert.not(piece.includes("\ufffd"), c.name);
    }
    pieces += found.length;
  }
  assert.ok(cases.length > 10 && pieces > 3 * cases.length);
  console.log(`\n# TextStreamer: ${cases.length} sequences in ${pieces} pieces`);
});

test("a prompt comes first and whole, and the text after it keeps its space", () => {
  const prompt = tokenizer.encode("My favourite condiment is");
  const ids = tokenizer.encode("pesto,\n and\npasta", { add_special_tokens: false });
  const text = tokenizer.decode([...prompt, ...ids], { skip_special_tokens: true });
  const pieces = stream(tokenizer, prompt, ids);
  assert.is(pieces[0], "My favourite condiment is");
  assert.is(pieces.join(""), text);
  assert.is(
    stream(tokenizer, prompt, ids, { skip_special_tokens: false }).join(""),
    tokenizer.decode([...prompt, ...ids]),
  );
  const alone = stream(tokenizer, prompt, ids, { skip_prompt: true });
  assert.is(alone.join(""), tokenizer.decode(ids, { skip_special_tokens: true }));
  assert.ok(alone.includes("pesto,\n"), alone.join("|"));
});

test("a line without end stays cheap: few tokens are decoded with each new one", () => {
  const ids = Array.from({ length: 60 }, () =>
    tokenizer.encode("and on and on it goes", { add_special_tokens: false }),
  ).flat();
  let longest = 0;
  const counting = {
    decode(list: number[], options?: object) {
      longest = Math.max(longest, list.length);
      return tokenizer.decode(list, options);
    },
  };
  assert.is(stream(counting, [1], ids).join(""), tokenizer.decode(ids));
  assert.ok(ids.length > 300 && longest < 80, `${longest} of ${ids.length}`);
});

/** A tokenizer of whole pieces. */
const pieces = ["", "one", " two", " th", "ree", "\n", "日", "本", " a\ufffd", "!"];
const plain = { decode: (ids: number[]) => ids.map((id) => pieces[id]).join("") };

test("emits up to the last space, all at a line's end or a CJK character, the rest at the end", () => {
  assert.equal(stream(plain, [0], [1, 2, 3, 4]), ["one ", "two ", "three"]);
  assert.equal(stream(plain, [0], [1, 2, 5, 3, 4]), ["one ", "two\n", " ", "three"]);
  assert.equal(stream(plain, [0], [1, 6, 7, 1]), ["one日", "本", "one"]);
  assert.equal(stream(plain, [0], [1, 8]), ["one ", "a\ufffd"]);
});

test("ids go to token_callback_function, those of a skipped prompt do not", () => {
  const seen: number[][] = [];
  const options = { token_callback_function: (ids: number[]) => void seen.push(ids) };
  stream(plain, [1, 2], [3, 4], options);
  stream(plain, [1, 2], [3], { ...options, skip_prompt: true });
  assert.equal(seen, [[1, 2], [3], [4], [3]]);
});

test("without a callback the text goes to standard output, a line's end after it", () => {
  const script = `
    import { TextStreamer } from ${JSON.stringify(new URL("../../src/generation/streamers.js", import.meta.url).href)};
    const streamer = new TextStreamer({ decode: (ids) => ids.map((id) => ["one", " two", " three"][id]).join("") });
    for (const ids of [[0], [1], [2]]) streamer.put([ids]);
    streamer.end();`;
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "script.mjs");
  writeFileSync(path, script);
  const { stdout, stderr } = spawnSync(process.execPath, [path], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  assert.is(stdout, "one two three\n", stderr);
});

test("decode_kwargs reach the tokenizer; a second generation starts afresh; batches are refused", () => {
  const options: unknown[] = [];
  const spy = {
    decode(ids: number[], given?: object) {
      options.push(given);
      return plain.decode(ids);
    },
  };
  stream(spy, [0], [1], { decode_kwargs: { clean_up_tokenization_spaces: false } });
  assert.equal(options[0], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  const out: string[] = [];
  const streamer = new TextStreamer(plain, { skip_prompt: true, callback_function: (text) => out.push(text) });
  for (let i = 0; i < 2; i++) {
    streamer.put([[1, 2]]);
    streamer.put([[4]]);
    streamer.end();
  }
  assert.equal(out, ["ree", "ree"]);
  assert.throws(
    () => streamer.put([[1], [2]]),
    (e: unknown) => e instanceof InputError && /found 2/.test(e.message),
  );
});

test.run();
