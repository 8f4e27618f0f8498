// Ranges of bytes, against a set of bytes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Ranges, readRanges } from "../../src/hub/ranges.ts";

/** A generator of whole numbers below n, the same each time. */
function numbers(seed: number): (n: number) => number {
  return (n) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * n);
  };
}

test("they are what a set of bytes is, however they overlap", () => {
  const below = numbers(7);
  for (let round = 0; round < 200; round++) {
    const end = 1 + below(60);
    const [ranges, bytes] = [new Ranges(), new Set<number>()];
    for (let i = below(12); i > 0; i--) {
      const from = below(end);
      const to = from + below(end - from + 1);
      ranges.add(from, to);
      for (let at = from; at < to; at++) bytes.add(at);
      const list = ranges.list();
      assert.is(ranges.size, bytes.size);
      assert.ok(
        list.every(([a, b], k) => a < b && (k === 0 || list[k - 1][1] < a)),
        "sorted, and apart",
      );
      assert.ok([...Array(end).keys()].every((at) => bytes.has(at) === list.some(([a, b]) => a <= at && at < b)));
    }
    let prefix = 0;
    while (bytes.has(prefix)) prefix++;
    assert.is(ranges.prefix, prefix);
    const most = 1 + below(9);
    const missing = ranges.missing(end, most);
    assert.ok(missing.every(([a, b]) => b - a <= most));
    const lacks = missing.flatMap(([a, b]) => Array.from({ length: b - a }, (_, i) => a + i));
    assert.equal(
      lacks,
      [...Array(end).keys()].filter((at) => !bytes.has(at)),
    );
    assert.equal(readRanges(JSON.parse(JSON.stringify(ranges.list())), end)?.list(), ranges.list());
  }
});

test("what is no list of ranges is none", () => {
  for (const wrong of [null, {}, "x", [1], [[1]], [[2, 1]], [[1, 1]], [[-1, 2]], [[0, 11]], [[0, 1.5]], [["0", 1]]])
    assert.is(readRanges(wrong, 10), undefined, JSON.stringify(wrong));
  assert.is(readRanges(Array(100_001).fill([0, 1]), 10), undefined);
});

test.run();
