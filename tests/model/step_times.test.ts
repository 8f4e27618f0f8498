// What steps will take, as the last ones tell: few rows by themselves, many by the row.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { StepTimes } from "../../src/model/step_times.ts";

const near = (found: number, expected: number) => assert.ok(Math.abs(found - expected) < 1e-9, `${found}, ${expected}`);

test("nothing is known, then the first figure, then each newest one's share", () => {
  const times = new StepTimes();
  assert.equal([times.of(1), times.of(16), times.between], [Infinity, Infinity, 0]);
  times.add(1, 20);
  assert.equal([times.of(1), times.of(15), times.of(16), times.between], [20, 20, Infinity, 20]);
  times.add(100, 300);
  assert.equal([times.of(16), times.of(200), times.of(15)], [48, 600, 20]);
  times.add(15, 30); // 20 + 0.3 · 10
  near(times.of(3), 23);
  near(times.between, 23);
  times.add(16, 16 * 5); // 3 + 0.3 · 2 a row
  near(times.of(100), 360);
  times.add(100, 100); // 3.6 − 0.3 · 2.6
  near(times.of(100), 282);
});

test.run();
