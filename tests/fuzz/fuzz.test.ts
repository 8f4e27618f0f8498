// A short run of the fuzzer; `npm run fuzz` runs longer ones.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fuzz } from "./fuzz.ts";
import { drawsOf } from "./mutate.ts";
import { targets } from "./targets.ts";

test("a mutant is the same every time, and others differ", () => {
  for (const target of targets) {
    const mutants = [5, 5, 6].map((i) => Buffer.from(target.mutant(drawsOf(1, i))).toString("latin1"));
    assert.is(mutants[0], mutants[1], target.name);
    assert.is.not(mutants[0], mutants[2], target.name);
  }
});

test("mutants end in an ordinary way", async () => {
  const report = await fuzz({ seed: 20, from: 0, count: 24 * targets.length });
  assert.equal(report.failures.slice(0, 3), []);
  // Mutants that all open, or all fail at the first byte, would test nothing.
  assert.ok(report.opened > 0 && report.refused > report.opened, JSON.stringify(report));
  console.log(
    `# ${report.opened} mutants opened, ${report.refused} refused, slowest ${report.slowest_ms.toFixed(0)} ms, largest ${(report.largest_bytes / 2 ** 20).toFixed(1)} MiB`,
  );
});

test.run();
