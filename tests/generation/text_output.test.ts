// TextOutput: the text of new ids behind a prompt. Over random ids of two vocabularies, byte tokens, special tokens and
// lone spaces among them, beside a twin that reads all of them at once, and Hugging Face's rules as decode.test.ts holds
// them; stop strings beside a search of the whole text; and what the model's stream and the pipeline make of it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRepository } from "../../src/checkpoint/repository.ts";
import { ConfigError, InputError } from "../../src/errors.ts";
import { MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import { ChatSession } from "../../src/generation/session.ts";
import { TextOutput, type TextOutputOptions, type TextTokenizer } from "../../src/generation/text_output.ts";
import { TextGenerationPipeline } from "../../src/pipelines/text_generation.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { demo, fixture } from "../fixtures.ts";
import { uniform } from "../kernels/random.ts";

const load = async (path: string) => loadTokenizer(await openRepository(await currentPlatform(), path));
const tokenizers = { demo: await load(demo), mixtral: await load(fixture("tokenizers/mixtral")) };

const CHARACTERS = [..."aé \n→Б日🦩", "\u00a0", "\u{10ffff}"];
const byteId = (tokenizer: Tokenizer, byte: number) =>
  tokenizer.convert_tokens_to_ids(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)!;

/** Ids of all kinds: any, special, a lone ▁, one byte, the bytes of a character (some of them cut). */
function randomIds(tokenizer: Tokenizer, draw: (below: number) => number, count: number): number[] {
  const ids: number[] = [];
  while (ids.length < count) {
    const kind = draw(10);
    if (kind < 3) ids.push(draw(tokenizer.vocab_size + 1));
    else if (kind < 4) ids.push(tokenizer.all_special_ids[draw(3)]);
    else if (kind < 5) ids.push(tokenizer.convert_tokens_to_ids("▁")!);
    else if (kind < 6) ids.push(byteId(tokenizer, draw(256)));
    else {
      const bytes = new TextEncoder().encode(CHARACTERS[draw(CHARACTERS.length)]);
      for (const byte of draw(8) ? bytes : bytes.subarray(0, 1)) ids.push(byteId(tokenizer, byte));
    }
  }
  return ids;
}

/**
 * The text of new ids, read at once. A run of byte tokens gives its whole characters as long as it is valid, and each
 * byte from there on is one U+FFFD; what ends in the prompt is the prompt's.
 */
function twin(tokenizer: Tokenizer, prompt: number[], ids: number[], skip: boolean): string {
  const texts: { text: string; isNew: boolean }[] = [];
  let run: { byte: number; isNew: boolean }[] = [];
  const flush = () => {
    const whole: typeof texts = [];
    let rest = run;
    while (rest.length > 0) {
      const length = [1, 2, 3, 4].find((n) => n <= rest.length && utf8(rest.slice(0, n)) !== undefined);
      if (length === undefined) break;
      whole.push({ text: utf8(rest.slice(0, length))!, isNew: rest[length - 1].isNew });
      rest = rest.slice(length);
    }
    // The space that begins a text is dropped: it was not shown when the run broke.
    const dropped = texts.length === 0 && whole.length === 1 && whole[0].text === " ";
    if (rest.length > 0 && dropped) rest = run;
    else texts.push(...whole);
    texts.push(...rest.map(({ isNew }) => ({ text: "\ufffd", isNew })));
    run = [];
  };
  for (const [i, id] of [...prompt, ...ids].entries()) {
    const token = tokenizer.convert_ids_to_tokens(id);
    if (token === undefined || (skip && tokenizer.all_special_ids.includes(id))) continue;
    const isNew = i >= prompt.length;
    const byte = /^<0x(..)>$/.exec(token);
    if (byte) run.push({ byte: Number.parseInt(byte[1], 16), isNew });
    else {
      flush();
      texts.push({ text: token.replaceAll("▁", " "), isNew });
    }
  }
  flush();
  const first = texts.find(({ text }) => text !== "");
  if (first) first.text = first.text.replace(/^ /, "");
  return texts.map(({ text, isNew }) => (isNew ? text : "")).join("");
}

function utf8(bytes: readonly { byte: number }[]): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes, (b) => b.byte));
  } catch {
    return undefined;
  }
}

const lone = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function pieces(tokenizer: TextTokenizer, ids: number[], options: TextOutputOptions) {
  const output = new TextOutput(tokenizer, options);
  return { pieces: [...ids.map((id) => output.push(id)), output.end()], stop: output.stop };
}

for (const [name, tokenizer] of Object.entries(tokenizers)) {
  const draws = (seed: number) => {
    const next = uniform(seed);
    return (below: number) => Math.floor(next() * below);
  };

  test(`${name}: the pieces are the text of all ids at once, none ends within a character`, () => {
    let clean = 0;
    let broken = 0;
    for (let seed = 1; seed <= 1000; seed++) {
      const draw = draws(seed);
      const [prompt, ids] = [randomIds(tokenizer, draw, draw(8)), randomIds(tokenizer, draw, draw(30))];
      const skip = draw(3) > 0;
      const options = { prompt, decode: { skip_special_tokens: skip } };
      const found = pieces(tokenizer, ids, options).pieces;
      const expected = twin(tokenizer, prompt, ids, skip);
      assert.is(found.join(""), expected, `seed ${seed}`);
      assert.equal(TextOutput.whole(tokenizer, ids, options), { text: expected, stop: null });
      for (const piece of found) assert.not.match(piece, lone);
      const all = tokenizer.decode([...prompt, ...ids], options.decode);
      if (all.includes("\ufffd")) broken++;
      else {
        clean++;
        const before = tokenizer.decode(prompt, options.decode);
        if (!before.includes("\ufffd")) assert.is(before + expected, all, `seed ${seed}`);
      }
    }
    assert.ok(clean > 200 && broken > 200, `${clean} valid texts, ${broken} with broken runs`);
  });

  test(`${name}: a stop string ends the text wherever the tokens are cut, and no piece begins it`, () => {
    let stopped = 0;
    for (let seed = 1; seed <= 1000; seed++) {
      const draw = draws(seed);
      const ids = randomIds(tokenizer, draw, 20);
      const { text } = TextOutput.whole(tokenizer, ids);
      if (text.includes("\ufffd")) continue;
      const units = [...text];
      const stops = Array.from({ length: 1 + draw(3) }, () => {
        const at = draw(units.length);
        return units.slice(at, at + 1 + draw(4)).join("") + (draw(3) ? "" : "!");
      }).filter((stop) => stop !== "");
      const ends = stops.map((stop) => text.indexOf(stop) + stop.length).filter((end, i) => end >= stops[i].length);
      const end = Math.min(...ends);
      const longest = stops
        .filter((stop) => text.indexOf(stop) + stop.length === end && text.includes(stop))
        .sort((a, b) => b.length - a.length)[0];
      const expected = longest === undefined ? text : text.slice(0, end - longest.length);
      const found = pieces(tokenizer, ids, { stop: stops });
      assert.is(found.pieces.join(""), expected, `seed ${seed}: ${JSON.stringify([text, stops])}`);
      assert.is(found.stop, longest ?? null);
      const kept = TextOutput.whole(tokenizer, ids, { stop: stops, keepStop: true });
      assert.equal(kept, { text: expected + (longest ?? ""), stop: longest ?? null });
      if (longest !== undefined) stopped++;
    }
    assert.ok(stopped > 100, `${stopped} stopped`);
  });

  test(`${name}: a long text costs each token the same, and keeps no more than a stop string`, () => {
    const many = (byte: number) => new Array<number>(200_000).fill(byteId(tokenizer, byte));
    // At the end a run of bytes that is long, and then broken.
    const ids = [randomIds(tokenizer, draws(7), 200_000), many(0x41), many(0xff)].flat();
    const output = new TextOutput(tokenizer, { prompt: ids, stop: "AAAB" });
    const start = performance.now();
    let length = 0;
    for (const id of ids) {
      length += output.push(id).length;
      if (output["held"].length + output["tokens"].pending.length > 3) assert.unreachable("more than AAA is held");
    }
    length += output.end().length;
    const took = performance.now() - start;
    assert.ok(length > 500_000);
    assert.ok(took < 30_000, `${took} ms`); // 0.6 s, on a busy machine 6; decoding all again takes hours
  });
}

const mixtral = tokenizers.mixtral;
const run = (...bytes: number[]) => bytes.map((byte) => byteId(mixtral, byte));

test("what is held back for a stop string is U+FFFD when its run breaks", () => {
  const [e, acute, bad] = run(0xc3, 0xa9, 0xff);
  assert.equal(pieces(mixtral, [e, acute, bad], { stop: "é!" }).pieces, ["", "", "", "\ufffd\ufffd\ufffd"]);
  assert.equal(pieces(mixtral, [e, acute, bad], {}).pieces, ["", "é", "", "\ufffd"]);
});

test("a character begun in the prompt belongs to the text, a broken one to the prompt", () => {
  const [a, b, c, d] = run(...new TextEncoder().encode("🦩"));
  assert.equal(TextOutput.whole(mixtral, [c, d], { prompt: [1, a, b] }).text, "🦩");
  assert.equal(TextOutput.whole(mixtral, [c], { prompt: [1, a, b] }).text, "\ufffd");
  const [, hello] = mixtral.encode("Hello");
  assert.equal(TextOutput.whole(mixtral, [hello], { prompt: [1, a, b] }).text, " Hello");
});

test("a tokenizer that only decodes whole rows gives the same, and decodes few ids again", () => {
  const text = "They said: “Ça va? 日本 🦩🦩” — and\nwent on, and on.";
  for (const prompt of ["", "My favourite", "🦩"]) {
    const before = mixtral.encode(prompt);
    const ids = mixtral.encode(text, { add_special_tokens: false });
    let longest = 0;
    const foreign = {
      decode(list: number[], options?: object) {
        longest = Math.max(longest, list.length);
        return mixtral.decode(list, options);
      },
    };
    const expected = pieces(mixtral, ids, { prompt: before });
    const found = pieces(foreign, ids, { prompt: before });
    assert.equal(found, expected);
    assert.ok(longest < 12, `${longest} of ${ids.length} ids at once`);
  }
});

test("a token of text and the beginning of a character: what was given is not given again, nor cut in two", () => {
  const parts = [[0x61], [0x62, 0xf0, 0x9f], [0xa6, 0xa9], [0x20, 0xc3], [0xa9, 0xe2, 0x82], [0xac], [0x63]];
  const decode = (ids: number[]) => new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => parts[id])));
  const ids = [...parts.keys()];
  for (let prompt = 0; prompt < parts.length; prompt++) {
    const found = pieces({ decode }, ids.slice(prompt), { prompt: ids.slice(0, prompt) }).pieces;
    for (const piece of found) assert.not.match(piece, lone);
    // A character begun in the prompt is the text's.
    assert.is(decode(ids.slice(0, prompt)).replace(/\ufffd$/, "") + found.join(""), "ab🦩 é€c");
  }
  // A broken one is the prompt's.
  assert.equal(pieces({ decode }, [6, 0], { prompt: [0, 1] }).pieces, ["c", "a", ""]);
  assert.equal(pieces({ decode }, [], { prompt: [0, 1] }).pieces, [""]);
  assert.equal(pieces({ decode }, [1], { prompt: [0] }).pieces, ["b", "\ufffd"]);
  assert.equal(pieces({ decode }, ids, {}).pieces, ["a", "b", "🦩", " ", "é", "€", "c", ""]);
});

test("a generation that ends within a character: what of it is there is U+FFFD, at the end", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const tokenizer = tokenizers.demo;
  const flamingo = [...new TextEncoder().encode("🦩")].map((byte) => byteId(tokenizer, byte));
  const prompt = tokenizer.encode("A bird");
  const prefix_allowed_tokens_fn = (_: number, ids: number[]) => [flamingo[ids.length - prompt.length]];
  for (const [max_new_tokens, expected] of [
    [4, ["🦩"]],
    [3, ["\ufffd\ufffd\ufffd"]],
    [1, ["\ufffd"]],
  ] as const) {
    const found: string[] = [];
    const options = { input_ids: [prompt], max_new_tokens, prefix_allowed_tokens_fn, tokenizer };
    for await (const piece of model.stream(options)) found.push(piece);
    assert.equal(found, expected);
  }
});

test("what is refused", () => {
  for (const stop of ["", ["a", ""], [3 as unknown as string]])
    assert.throws(
      () => new TextOutput(mixtral, { stop }),
      (e: unknown) => e instanceof ConfigError && /^stop: /.test(e.message),
    );
  assert.throws(
    () => new TextOutput({}),
    (e: unknown) => e instanceof InputError && /^tokenizer: /.test(e.message),
  );
});

test("a stream's pieces are the pipeline's new text, a session's the answer to a conversation", async () => {
  const tokenizer = tokenizers.demo;
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const generator = new TextGenerationPipeline(model, tokenizer);
  const sampling = { do_sample: true, temperature: 100, top_k: 0, max_new_tokens: 30 };
  let broken = 0;
  for (const [seed, prompt] of ["My favourite condiment", "Mustard tastes ", "", "pesto\n", "🦩"].entries())
    for (const options of [{ max_new_tokens: 12 }, { ...sampling, seed }, { ...sampling, seed: seed + 50 }]) {
      const [{ generated_text: text }] = await generator(prompt, { ...options, return_full_text: false });
      const [{ generated_text: full }] = await generator(prompt, options);
      let streamed = "";
      for await (const piece of model.stream({ ...tokenizer(prompt), ...options, tokenizer })) streamed += piece;
      assert.equal([streamed, full], [text, prompt + text]);
      if (text.includes("\ufffd")) broken++;
    }
  assert.ok(broken > 0, "some text has a broken run");
  const session = new ChatSession(model, tokenizer);
  const message = { role: "user", content: "What is pesto made of?" };
  const [{ generated_text: chat }] = await generator([message]);
  const [{ generated_text: reply }] = await generator([message], { return_full_text: false });
  assert.equal([message, ...reply], chat);
  assert.is(reply.length, 1);
  const [one, two] = await generator([[message], [message]], { max_new_tokens: 5 });
  assert.equal(one, two);
  let answer = "";
  for await (const piece of session.send("What is pesto made of?")) answer += piece;
  assert.equal(session.messages, chat);
  assert.is(answer, chat[1].content);
  session.dispose();
});

test.run();
