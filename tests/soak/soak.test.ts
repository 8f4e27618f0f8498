// A short soak; `npm run soak` runs long ones.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { showHeld } from "./held.ts";
import { soak } from "./soak.ts";

if (process.platform === "linux")
  test("mixed calls, aborts, disposals and loads leave nothing behind", async () => {
    const report = await soak({ minutes: 0.13, seed: 3, together: 4, every: 1.2 });
    assert.equal(report.faults, []);
    assert.ok(report.calls > 30, `${report.calls} calls`);
    const [first, last] = [report.samples[0], report.samples.at(-1)!];
    for (const figure of ["threads", "handles", "mapped"] as const)
      assert.ok(last[figure] <= first[figure] + 4, `${figure}: ${first[figure]} -> ${last[figure]}`);
    console.log(`# ${report.calls} calls, from ${showHeld(first)}`);
    console.log(`# to ${showHeld(last)}`);
  });

test.run();
