// The choice between the relaxed dots: by time, once, and only where there is a choice.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { dots } from "../../src/kernels/abi.ts";
import { FasterDot } from "../../src/kernels/faster_dot.ts";
import { loadKernels } from "../../src/kernels/load.ts";
import { currentPlatform } from "../../src/platform/index.ts";

/** A dot's peak loop that takes `ms` milliseconds for a million steps, 2 at most. */
const loop = (calls: { count: number }, ms: number) => (steps: number) => {
  calls.count++;
  const end = performance.now() + Math.min((steps / 1e6) * ms, 2);
  while (performance.now() < end);
  return 0;
};

for (const [faster, i16, i32] of [
  ["i16", 20, 60],
  ["i32", 60, 20],
] as const) {
  test(`the ${faster} dot where it takes a third of the other's time, and no second timing`, () => {
    const calls = { count: 0 };
    const choice = new FasterDot({ roof_dot_i16: loop(calls, i16), roof_dot_i32: loop(calls, i32) });
    choice.prepare();
    choice.prepare();
    assert.is(calls.count, 2);
    assert.is(choice.choose(), dots[faster]);
    const { count } = calls;
    assert.is(choice.choose(), dots[faster]);
    assert.is(calls.count, count);
  });
}

test("plain SIMD has no choice, nor has a runtime that hides relaxed SIMD", async () => {
  const platform = await currentPlatform();
  assert.is((await loadKernels(platform, "plain")).faster_dot, undefined);
  const { simd, faster_dot } = await loadKernels(platform);
  const hidden =
    Number.parseInt(process.versions.node, 10) < 22 && !process.execArgv.some((a) => a.includes("relaxed"));
  assert.is(faster_dot !== undefined, simd === "relaxed" && !hidden);
  if (faster_dot) assert.ok(Object.values(dots).includes(faster_dot.choose()));
});

test.run();
