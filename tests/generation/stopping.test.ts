// Stopping criteria: fixtures/logits/stopping.json for stop strings (Hugging Face's StopStringCriteria after every token),
// and the others by hand.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, InputError } from "../../src/errors.ts";
import {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  lookAtScores,
  MaxLengthCriteria,
  MaxTimeCriteria,
  StoppingCriteriaList,
  StopStringCriteria,
  toStoppingCriteria,
} from "../../src/generation/stopping.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { fixture, json } from "../fixtures.ts";

interface StopCase {
  tokenizer: string;
  stop_strings: string[];
  ids: number[];
  pieces_hex: string[];
  matched_after_each_token: boolean[];
  stops_at: number | null;
}
const cases: StopCase[] = json("fixtures/logits/stopping.json").cases;

/** The bytes that the fixture itself gives for the ids of a case. */
const bytesOf = (c: StopCase) => {
  const bytes = new Map(c.ids.map((id, i) => [id, Uint8Array.from(Buffer.from(c.pieces_hex[i], "hex"))]));
  return { token_bytes: (id: number) => bytes.get(id) ?? new Uint8Array() };
};

for (const tokenizer of ["mixtral", "byte_level"]) {
  const list = cases.filter((c) => c.tokenizer === tokenizer);
  test(`stop strings: ${list.length} sequences of ${tokenizer}`, () => {
    let tokens = 0;
    for (const c of list) {
      const criterion = new StopStringCriteria(bytesOf(c), c.stop_strings);
      const found = c.ids.map((_, n) => criterion._call([c.ids.slice(0, n + 1)])[0]);
      assert.equal(found, c.matched_after_each_token, `${JSON.stringify(c.stop_strings)} in ${c.ids}`);
      assert.is(found.indexOf(true), c.stops_at ?? -1);
      tokens += c.ids.length;
    }
    console.log(`\n# stop strings: ${list.length} sequences of ${tokenizer}, ${tokens} tokens, all alike`);
  });
}

test("the tokenizer gives the same bytes for each id, and stops at the same tokens", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(fixture("tokenizers/mixtral"));
  for (const c of cases.filter((c) => c.tokenizer === "mixtral")) {
    for (const [i, id] of c.ids.entries())
      assert.is(Buffer.from(tokenizer.token_bytes(id)).toString("hex"), c.pieces_hex[i], `id ${id}`);
    const criterion = new StopStringCriteria(tokenizer, c.stop_strings);
    assert.equal(
      c.ids.map((_, n) => criterion._call([c.ids.slice(0, n + 1)])[0]),
      c.matched_after_each_token,
    );
  }
});

test("all 290 stop cases were there, and some stop", () => {
  assert.is(cases.length, 290);
  assert.ok(cases.some((c) => c.stops_at !== null) && cases.some((c) => c.stops_at === null));
});

test("rows stop on their own; a string alone is taken; Typed arrays too", () => {
  const tokenizer = { token_bytes: (id: number) => Uint8Array.of(id) };
  const criterion = new StopStringCriteria(tokenizer, "ab");
  assert.equal(criterion._call([Int32Array.of(97, 98), Int32Array.of(98, 97), []]), [true, false, false]);
});

test("stop strings without a tokenizer, or empty, are refused", () => {
  assert.throws(
    () => new StopStringCriteria(undefined, "x"),
    (e: unknown) => e instanceof InputError && /tokenizer/.test(e.message),
  );
  for (const strings of ["", [], ["a", ""]])
    assert.throws(
      () => new StopStringCriteria({ token_bytes: () => new Uint8Array() }, strings),
      (e: unknown) => e instanceof ConfigError && /stop_strings/.test(e.message),
    );
});

test("length, end of sequence, time", async () => {
  const rows = [
    [1, 2, 3],
    [1, 2, 5],
  ];
  assert.equal(new MaxLengthCriteria(3)._call(rows), [true, true]);
  assert.equal(new MaxLengthCriteria(4)._call(rows), [false, false]);
  assert.equal(new EosTokenCriteria(5)._call(rows), [false, true]);
  assert.equal(new EosTokenCriteria([3, 5])._call(rows), [true, true]);
  const [soon, later] = [new MaxTimeCriteria(0.02), new MaxTimeCriteria(60)];
  assert.equal(soon._call(rows), [false, false]);
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.equal(soon._call(rows), [true, true]);
  assert.equal(later._call(rows), [false, false], "seconds");
});

test("a list joins its criteria, those of the caller among them", () => {
  const rows = [
    [1, 2],
    [1, 3],
    [1, 4],
  ];
  const seen: unknown[] = [];
  const list = new StoppingCriteriaList([
    new EosTokenCriteria(2),
    (ids) => ids.map((row) => row.includes(3)),
    { _call: (ids, scores) => seen.push(ids, scores) === 0 },
  ]);
  assert.equal(list._call(rows), [true, true, false]);
  assert.equal(seen, [rows, undefined]);
  list.push(() => true);
  assert.equal(list._call(rows), [true, true, true]);
  assert.equal(toStoppingCriteria(() => true)._call(rows), [true, true, true]);
  assert.equal(toStoppingCriteria(null)._call(rows), [false, false, false]);
  assert.is(toStoppingCriteria(list), list);
  const wrong = (e: unknown) => e instanceof InputError && /stopping_criteria/.test(e.message);
  assert.throws(() => toStoppingCriteria([3 as never]), wrong);
  assert.throws(() => toStoppingCriteria(() => [true])._call(rows), wrong);
});

test("a criterion that is interrupted from outside ends every row, until it is reset", () => {
  const stop = new InterruptableStoppingCriteria();
  const list = new StoppingCriteriaList([stop]);
  const rows = [
    [1, 2],
    [1, 3],
  ];
  assert.equal(list._call(rows), [false, false]);
  stop.interrupt();
  assert.equal([stop.interrupted, list.reasons(rows)], [true, ["stop", "stop"]]);
  stop.reset();
  assert.equal(list._call(rows), [false, false]);
  assert.not(lookAtScores(list), "it takes no scores from the threads");
});

test("what stands for such a criterion elsewhere is told of each change", () => {
  const stop = new InterruptableStoppingCriteria();
  const told: unknown[] = [];
  const [one, other] = ["one", "other"].map((name) => (interrupted: boolean) => told.push([name, interrupted]));
  stop.listeners.add(one).add(other);
  stop.interrupt();
  stop.listeners.delete(other);
  stop.reset();
  stop.interrupted = true;
  assert.equal(told, [
    ["one", true],
    ["other", true],
    ["one", false],
    ["one", true],
  ]);
  assert.equal(stop._call([[1]]), [true]);
});

test.run();
