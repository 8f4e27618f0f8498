// Pages of the cache: counted references, copies of the last partial page alone, what a window gives back, what can be
// taken back. Beside a twin that keeps a list of its own for every sequence.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/errors.ts";
import { cacheBytes, KvPool, kvRowBytes, PAGE_POSITIONS, planKv } from "../../src/memory/kv_pool.ts";
import { mostPages, PageList } from "../../src/model/pages.ts";
import { shape } from "./shape.ts";

const pool = (pages: number): KvPool =>
  new KvPool({ format: "f32", pages, page_bytes: [100, 50], head_bytes: [10, 5], banks: [0, 0], bases: [0, 9000] });

const list = (kv: KvPool, window = 0, length = 0): PageList => {
  const made = new PageList(kv, window);
  made.append(length);
  return made;
};

test("a sequence takes a page for every 64 positions, and gives all of them back", () => {
  const kv = pool(10);
  const sequence = list(kv, 0, 130);
  assert.is(sequence.pages.length, 3);
  assert.is(kv.bytes, 3 * 150);
  sequence.append(62);
  assert.is(sequence.pages.length, 3, "192 positions");
  sequence.append(1);
  assert.is(sequence.pages.length, 4);
  sequence.release();
  assert.is(kv.bytes, 0);
});

test("a fork refers to the same pages; who writes to a shared last page gets a copy of it", () => {
  const kv = pool(10);
  const sequence = list(kv, 0, 150);
  const pages = [...sequence.pages];
  const fork = sequence.fork();
  assert.is(kv.bytes, 3 * 150, "nothing is copied");
  const copy = fork.append(1)!;
  assert.is(copy[0], pages[2]);
  assert.equal(fork.pages, [pages[0], pages[1], copy[1]]);
  assert.is(sequence.append(1), undefined, "the page is its own again");
  assert.equal(sequence.pages, pages);
  sequence.release();
  assert.is(kv.bytes, 3 * 150, "the fork still refers to the pages that it shared");
  fork.release();
  assert.is(kv.bytes, 0);

  const whole = list(kv, 0, 128);
  const other = whole.fork();
  assert.is(other.append(5), undefined, "no page is partial: nothing to copy");
  assert.is(kv.bytes, 3 * 150);
});

test("a window gives pages back, and keeps some so that 128 tokens can always be taken back", () => {
  const kv = pool(40);
  for (const window of [1, 8, 63, 64, 65, 100, 256]) {
    const sequence = list(kv, window, 0);
    let most = 0;
    for (let i = 0; i < 1500; i++) {
      sequence.trim();
      sequence.append(1);
      most = Math.max(most, sequence.pages.length);
      if (sequence.length > 128) assert.ok(sequence.least <= sequence.length - 128, `window ${window}, ${i}`);
      const first = sequence.first_block * PAGE_POSITIONS;
      assert.ok(first <= Math.max(0, sequence.length - window), "all that the newest token sees is there");
    }
    assert.ok(most <= Math.ceil(window / PAGE_POSITIONS) + 4, `window ${window}: ${most} pages`);
    sequence.truncate(sequence.length - 128);
    assert.is(sequence.length, 1372);
    sequence.release();
  }
  assert.is(kv.bytes, 0);
});

test("a list never has more pages than is foreseen of it, and sometimes as many", () => {
  const kv = pool(60);
  for (const window of [0, 1, 64, 100, 255, 256]) {
    for (const chunk of [1, 63, 64, 65, 200]) {
      let nearest = Infinity;
      for (let from = 0; from < 130; from++) {
        const sequence = list(kv, window, from);
        for (const rows of [chunk, 1, chunk, Math.ceil(chunk / 2), chunk]) {
          sequence.trim();
          sequence.append(rows);
          const most = mostPages(sequence.length, window, Math.max(chunk, from));
          assert.ok(sequence.pages.length <= most, `window ${window}, chunk ${chunk}, from ${from}`);
          nearest = Math.min(nearest, most - sequence.pages.length);
        }
        sequence.release();
      }
      assert.is(nearest, 0, `window ${window}, chunk ${chunk}`);
    }
  }
  assert.is(kv.bytes, 0);
});

test("needed and most foresee what append takes", () => {
  const kv = pool(200);
  let x = 7;
  const draw = (below: number) => {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    return x % below;
  };
  for (let round = 0; round < 3000; round++) {
    const sequence = list(kv, draw(3) ? 0 : 1 + draw(200), draw(200));
    const shared = draw(2) ? sequence.fork() : undefined;
    const tokens = 1 + draw(300);
    const free = kv.free;
    const needed = sequence.needed(tokens);
    const allowed = draw(8);
    const most = sequence.most(tokens, allowed);
    assert.ok(most <= tokens && (most === 0 || sequence.needed(most) <= allowed), `${most} of ${tokens}`);
    if (most < tokens) assert.ok(sequence.needed(most + 1) > allowed, "no more than that would have fit");
    sequence.append(tokens);
    assert.is(free - kv.free, needed);
    sequence.release();
    shared?.release();
  }
  assert.is(kv.bytes, 0);
});

test("a list can go on from another's first tokens, and be cut back", () => {
  const kv = pool(20);
  const leader = list(kv, 0, 100);
  const follower = list(kv);
  leader.append(40);
  follower.adopt(leader, 100);
  assert.is(follower.length, 100);
  assert.equal(follower.pages, leader.pages.slice(0, 2));
  follower.truncate(60);
  assert.equal(follower.pages, leader.pages.slice(0, 1));
  follower.truncate(0);
  assert.equal(follower.pages, []);
  leader.release();
  assert.is(kv.bytes, 0);
});

test("a pool without pages, or closed, says so", () => {
  const kv = pool(1);
  const sequence = list(kv, 0, 64);
  assert.throws(
    () => sequence.append(1),
    (error: unknown) => error instanceof EngineError,
  );
  kv.closed = true;
  assert.throws(() => kv.take(), /disposed/);
});

test("pages stand beside the layers' weights where there is room, else in memories of their own", () => {
  const two = shape({ layers: 2, kv_heads: 2, head_dim: 64 });
  const page = 2 * 2 * PAGE_POSITIONS * 64 * 4;
  const sizes = { format: "f32", bytes: 20 * page, most_pages: 100, matrices: 0, matrix: 0 } as const;
  const roomy = planKv(two, sizes, [0, 1], [5000, 6000], 1000, 2 ** 30);
  assert.equal(roomy.layout.banks, [0, 1]);
  assert.is(roomy.layout.pages, 10);
  assert.is(roomy.bank_bytes.length, 2);
  const crowded = planKv(two, sizes, [0, 1], [5000, 2 ** 30 - 100], 1000, 2 ** 30);
  assert.equal(crowded.layout.banks, [0, 2]);
  assert.equal(crowded.layout.bases[1] % 64, 0);
  assert.throws(() => planKv(two, { ...sizes, bytes: page }, [0, 0], [5000], 1000, 2 ** 30), /kv_bytes.*64 positions/);
});

test("a cache's bytes by its format", () => {
  const one = shape({ layers: 3, kv_heads: 2, head_dim: 128 });
  assert.is(cacheBytes(one, 10, "f32"), 10 * 3 * 2 * 2 * 128 * 4);
  assert.is(cacheBytes(one, 10, "f16"), 10 * 3 * 2 * 2 * 128 * 2);
  assert.is(cacheBytes(one, 10, "q8_0"), 10 * 3 * 2 * 2 * 4 * 34);
  assert.is(kvRowBytes(12, "f16"), 32, "rows are padded to 16 values");
});

test.run();
