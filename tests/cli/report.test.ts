// What the command reports: figures of a generation, sizes, the bar while loading.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bytes, progressBar, Stopwatch } from "../../src/cli/report.ts";
import type { ProgressInfo } from "../../src/model/options.ts";

/** Runs something at times of the test's choosing. */
function atTimes(run: (at: (ms: number) => void) => void): void {
  const { now } = performance;
  let time = 0;
  performance.now = () => time;
  try {
    run((ms) => {
      time = ms;
    });
  } finally {
    performance.now = now;
  }
}

test("figures: tokens a second, of what was fed and of what came behind the first token", () => {
  atTimes((at) => {
    at(1000);
    const watch = new Stopwatch();
    assert.is(watch.line(), "prompt 0 tokens; generated 0");
    watch.put([[1, 2, 3, 4, 5]]);
    for (const ms of [1500, 1600, 1700, 1800]) {
      at(ms);
      watch.put([[9]]);
    }
    assert.equal(watch.figures(), {
      prompt_tokens: 5,
      cached_tokens: 0,
      generated_tokens: 4,
      first_token_ms: 500,
      prompt_rate: 10,
      generated_rate: 10,
    });
    assert.is(watch.figures(3).prompt_rate, 4);
    assert.is(watch.line(), "prompt 5 tokens at 10.0 tokens/s; generated 4 at 10.0 tokens/s; first token after 500 ms");
    assert.is(
      watch.line(3),
      "prompt 5 tokens (3 known) at 4.0 tokens/s; generated 4 at 10.0 tokens/s; first token after 500 ms",
    );
  });
  atTimes((at) => {
    const watch = new Stopwatch();
    watch.put([[1, 2]]);
    at(250);
    watch.put([[9]]);
    assert.is(watch.line(), "prompt 2 tokens at 8.0 tokens/s; generated 1; first token after 250 ms");
  });
});

test("sizes in powers of ten, three digits", () => {
  for (const [n, text] of [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [12_340, "12.3 kB"],
    [123_456, "123 kB"],
    [4_567_000, "4.6 MB"],
    [26.4e9, "26.4 GB"],
    [5e12, "5.0 TB"],
    [5e15, "5000 TB"],
  ] as const)
    assert.is(bytes(n), text);
});

test("the bar: on a terminal alone, after 300 ms, and taken away at the end", () => {
  const { isTTY } = process.stderr;
  const { write } = process.stderr;
  let shown: string[] = [];
  process.stderr.write = ((text: string) => shown.push(text) > 0) as typeof write;
  const told = (status: string, loaded = 0): ProgressInfo =>
    ({ status, loaded, total: 2000 }) as unknown as ProgressInfo;
  try {
    process.stderr.isTTY = false;
    assert.is(progressBar(false), undefined);
    process.stderr.isTTY = true;
    assert.is(progressBar(true), undefined);
    atTimes((at) => {
      const bar = progressBar(undefined)!;
      bar(told("progress", 500));
      bar(told("ready"));
      assert.equal(shown, []);
      at(301);
      bar(told("initiate"));
      bar(told("progress", 1500));
      assert.equal(shown, [`\rloading ${"█".repeat(23)}${"░".repeat(7)} 1.5 kB of 2.0 kB\x1b[K`]);
      shown = [];
      bar(told("done"));
      assert.equal(shown, []);
      bar(told("ready"));
      assert.equal(shown, ["\r\x1b[K"]);
    });
  } finally {
    process.stderr.isTTY = isTTY;
    process.stderr.write = write;
  }
});

test.run();
