// What functions of the caller's give back.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { atOnce, CallerPromises, isPromise } from "../src/callbacks.ts";
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

test.run();
