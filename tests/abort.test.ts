// Jobs side by side, and pauses, under signals.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eachOf, pause } from "../src/abort.ts";

const later = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

test("each thing has its job, in order, so many at once", async () => {
  const begun: number[] = [];
  let [now, most] = [0, 0];
  await eachOf([..."abcdefg"], 3, undefined, async (_, i) => {
    begun.push(i);
    most = Math.max(most, ++now);
    await later();
    now--;
  });
  assert.equal(begun, [0, 1, 2, 3, 4, 5, 6]);
  assert.is(most, 3);
  await eachOf([], 3, undefined, () => Promise.reject(new Error("nothing to do")));
});

test("the first failure stops the others, and is what the call fails with once they have ended", async () => {
  const [reason, ended] = [new Error("mine"), [] as number[]];
  const error = await eachOf([0, 1, 2, 3, 4], 2, undefined, async (thing, _, stop) => {
    if (thing === 1) throw reason;
    await later();
    assert.ok(stop.aborted);
    ended.push(thing);
  }).catch((error) => error);
  assert.is(error, reason);
  assert.equal(ended, [0]);
});

test("an abort stops them with its reason; one that was there before lets none begin", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const running = eachOf([0, 1], 1, controller.signal, async (_, __, stop) => {
    setTimeout(() => controller.abort(reason), 1);
    await pause(60_000, stop);
  });
  assert.is(await running.catch((error) => error), reason);
  let begun = false;
  const none = eachOf([0], 1, controller.signal, async () => void (begun = true));
  assert.is(await none.catch((error) => error), reason);
  assert.not(begun);
});

test.run();
