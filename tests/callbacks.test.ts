// What functions of the caller's give back.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  answerOf,
  atOnce,
  CallerPromises,
  isLater,
  isPromise,
  laterAnswer,
  proceed,
  type Waiting,
  withoutWaiting,
} from "../src/callbacks.ts";
import { InputError } from "../src/errors.ts";

/** What has `then`. */
const having = (thing: object, then: unknown) => Object.assign(thing, { then });

/** A promise of another kind: a function. */
const callable = (error?: Error) =>
  having(
    () => {},
    (done: (value: number) => void, failed: (error: Error) => void) => (error ? failed(error) : done(1)),
  );

test("a promise is whatever has then, an object or a function", () => {
  for (const promise of [Promise.resolve(1), having({}, () => {}), callable()]) assert.is(isPromise(promise), true);
  for (const other of [undefined, null, 1, "then", {}, having({}, 1), () => {}, []]) assert.is(isPromise(other), false);
});

test("promises are waited for, the later ones too, and the first that rejects is thrown", async () => {
  const order: string[] = [];
  const promises = new CallerPromises();
  const later = () => Promise.resolve().then(() => void order.push("second"));
  promises.add(
    new Promise<void>((resolve) => setTimeout(resolve, 5)).then(() => {
      order.push("first");
      promises.add(later());
    }),
  );
  promises.add(3);
  await promises.settled();
  assert.equal(order, ["first", "second"]);

  const told: unknown[] = [];
  const failing = new CallerPromises((error) => told.push(error));
  const error = new Error("no");
  failing.add(callable(error));
  await failing.settled().then(
    () => assert.unreachable(),
    (thrown) => assert.is(thrown, error),
  );
  assert.equal(told, [error]);
});

test("a function that has to answer at once may not return a promise, whose failure is then no one's", () => {
  assert.is(atOnce(5, "it"), 5);
  for (const promise of [Promise.reject(new Error("unhandled")), callable(new Error("unhandled"))])
    assert.throws(
      () => atOnce(promise, "it"),
      (error: Error) => error instanceof InputError && /^it: expected a function that answers/.test(error.message),
    );
});

const double = laterAnswer(async (value: number) => 2 * value);

/** Asks for the doubles of some values, and tells of each step. */
function* doubled(values: readonly number[], told: unknown[], ask: (value: number) => number = double): Waiting<void> {
  try {
    for (const value of values) told.push(yield* answerOf(ask, ask(value), "double"));
  } finally {
    told.push("end");
  }
}

/** Runs it. @returns what was told of it, once nothing more comes */
async function ran(steps: Waiting<void>, told: unknown[], wanted = () => true): Promise<unknown[]> {
  proceed(steps, { wanted, waits: (waiting) => told.push(waiting), failed: (error) => told.push(error) });
  told.push("returned");
  await new Promise<void>((resolve) => setTimeout(resolve, 2));
  return told;
}

test("an answer that comes later is waited for where the function is marked, and nothing is where it is there", async () => {
  const at_once = (value: number) => 2 * value;
  assert.equal([isLater(double), isLater(at_once)], [true, false]);
  const told: unknown[] = [];
  assert.equal(await ran(doubled([1, 2], told), told), [true, "returned", false, 2, true, false, 4, "end"]);
  const other: unknown[] = [];
  assert.equal(await ran(doubled([1, 2], other, at_once), other), [2, 4, "end", "returned"]);
  const early: unknown[] = [];
  const perhaps = laterAnswer(at_once as unknown as (value: number) => Promise<number>);
  assert.equal(await ran(doubled([3], early, perhaps), early), [6, "end", "returned"]);
});

test("what fails is told once, and what is wanted no more goes no further", async () => {
  const error = new Error("no");
  const told: unknown[] = [];
  const failing = laterAnswer((_: number): Promise<number> => Promise.reject(error));
  assert.equal(await ran(doubled([1, 2], told, failing), told), [true, "returned", false, "end", error]);
  const refused: unknown[] = [];
  const unmarked = (async () => 1) as unknown as (value: number) => number;
  const [end, reason, returned] = await ran(doubled([1], refused, unmarked), refused);
  assert.equal([end, returned], ["end", "returned"]);
  assert.match((reason as Error).message, /^double: expected a function that answers at once/);
  for (const ask of [double, failing]) {
    const left: unknown[] = [];
    assert.equal(await ran(doubled([1, 2], left, ask), left, () => left.length < 2), [true, "returned", false, "end"]);
  }
});

test("what may not wait comes to its end at once, or is refused", () => {
  const told: unknown[] = [];
  withoutWaiting(
    doubled([4], told, (value) => value + 1),
    "it",
  );
  assert.equal(told, [5, "end"]);
  const refused = () => withoutWaiting(doubled([4], told), "it");
  assert.throws(
    refused,
    (error: Error) => error instanceof InputError && /^it: expected a function/.test(error.message),
  );
  assert.equal(told, [5, "end", "end"]);
});

test.run();
