// What downloads tell, by a clock of the test's.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type DownloadProgress, Progress } from "../../src/hub/progress.ts";
import { failure } from "../failure.ts";

function progress() {
  const told: DownloadProgress[] = [];
  const clock = { ms: 0 };
  const it = new Progress(
    "o/n",
    (info) => void told.push(info),
    () => clock.ms,
  );
  const last = () => told.filter(({ status }) => status === "progress_total").at(-1)!;
  return { told, clock, it, last };
}

test("a rate is of the last ten seconds, and of what has come now", () => {
  const { it, clock, last } = progress();
  it.expect("a", 2000, 10_000);
  it.begin("a");
  it.loaded("a", 2000);
  assert.is(last(), undefined, "nothing has come");
  for (let second = 1; second <= 5; second++) {
    clock.ms = 1000 * second;
    it.loaded("a", 2000 + 100 * second);
    assert.is(last().rate, second < 2 ? undefined : 100);
  }
  assert.is(last().rate, 100);
  assert.is(last().remaining, 75);
  assert.is(last().progress, 25);
  for (let second = 6; second <= 16; second++) {
    clock.ms = 1000 * second;
    it.loaded("a", 2500 + 200 * (second - 5));
  }
  assert.is(last().rate, 200, "what was before is forgotten");
});

test("what is told never falls, though a file is begun anew", () => {
  const { it, told } = progress();
  it.expect("a", 0, 100);
  it.expect("b", 0, 50);
  for (const bytes of [0, 60, 10, 0, 70]) it.loaded("a", bytes);
  it.done("b");
  it.done("a");
  const totals = told.filter(({ status }) => status === "progress_total").map(({ loaded }) => loaded);
  assert.equal(totals, [60, 70, 120, 150]);
});

test("where a size is not known, no time is told that remains", () => {
  const { it, clock, last } = progress();
  it.expect("a", 0);
  it.loaded("a", 0);
  clock.ms = 2000;
  it.loaded("a", 500);
  assert.is(last().rate, 250);
  assert.is(last().remaining, undefined);
  assert.is(last().total, 500);
});

test("promises of the callback are waited for, and their failure is the call's", async () => {
  const it = new Progress("o/n", () => Promise.reject(new Error("mine")));
  it.expect("a", 0, 1);
  assert.is((await failure(it.settled())).message, "mine");
});

test.run();
