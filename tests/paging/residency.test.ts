// Which experts a thread of the team has read, in which order, and which go for them: the table that the readers share is
// looked into, and what a reader would do is done by hand.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { BankedLayer } from "../../src/memory/plan.ts";
import { Pager } from "../../src/paging/pager.ts";
import { DOWN, PagingTable, pagingWords, UP } from "../../src/paging/table.ts";

const [LAYERS, EXPERTS, BYTES] = [3, 8, 100];

/** A pager of three layers of eight experts, each matrix of which is 100 bytes and one piece. */
function make(kept: number, spare: number, reserve = 2) {
  const slots = LAYERS * kept + spare;
  const words = pagingWords(LAYERS * EXPERTS, EXPERTS, slots, 3, 1);
  const banked = () => ({
    weights: { banks: new Uint16Array(EXPERTS), addresses: new Uint32Array(EXPERTS) },
  });
  const layers = Array.from({ length: LAYERS }, () => ({ w1: banked(), w3: banked(), w2: banked() }));
  const setup = {
    words,
    kept: new Array<number>(LAYERS).fill(kept),
    spare,
    reserve,
    first: Array.from({ length: LAYERS }, (_, i) => i * EXPERTS),
    places: Array.from({ length: LAYERS * EXPERTS }, () =>
      [0, 128, 256].map((at) => ({ at, pieces: 1, bytes: BYTES })),
    ),
    slot_banks: new Array<number>(slots).fill(1),
    slot_addresses: Array.from({ length: slots }, (_, i) => i * 1024),
  };
  const table = new PagingTable(words);
  return { pager: new Pager(setup, layers as unknown as BankedLayer[], 0, () => {}), table, words, layers };
}

/** Does the reads that are asked for. @returns them: expert of all layers, and which of its matrices */
function read({ table, words }: ReturnType<typeof make>): [expert: number, role: number][] {
  const done: [number, number][] = [];
  while (words.control[0] !== words.control[1]) {
    const { matrix, slot } = table.take()!;
    done.push([Math.floor(matrix / 3), matrix % 3]);
    table.done(slot, matrix % 3 === 2 ? DOWN : UP);
  }
  return done;
}

const there = ({ words }: ReturnType<typeof make>) =>
  [...words.slot_of.entries()].filter(([, slot]) => slot >= 0).map(([expert]) => expert);

test("what is missing is read, of all experts first what is multiplied first; what is there is not", () => {
  const made = make(4, 0);
  made.pager.want(0, 1, [2, 5], [], 2);
  assert.equal(read(made), [
    [10, 0],
    [10, 1],
    [13, 0],
    [13, 1],
    [10, 2],
    [13, 2],
  ]);
  made.pager.want(0, 1, [2, 6], [], 2);
  assert.equal(read(made), [
    [14, 0],
    [14, 1],
    [14, 2],
  ]);
  const { hits, misses, read_bytes } = made.table.counts();
  assert.equal([hits, misses, read_bytes], [1, 3, 3 * 3 * BYTES]);
  // Where the layer's matrices are found from now on.
  const slot = made.words.slot_of[14];
  assert.equal(
    [made.layers[1].w1, made.layers[1].w3, made.layers[1].w2].map(({ weights }) => weights.addresses[6]),
    [0, 128, 256].map((at) => slot * 1024 + at),
  );
});

test("those that are there are begun before those that are being read, each kind in its order", () => {
  const made = make(6, 0);
  made.pager.want(0, 0, [1, 4], [], 2);
  read(made);
  const wave = [0, 1, 3, 4, 7].map((expert) => ({ expert }));
  made.pager.want(
    0,
    0,
    wave.map(({ expert }) => expert),
    [],
    5,
  );
  const turns = made.pager.turns(0, wave).map(({ expert }) => expert);
  assert.equal(turns, [1, 4, 0, 3, 7]);
  // The other lane's step has asked for nothing, and one thing's being late is its lane's affair.
  assert.equal(
    made.pager.turns(1, wave).map(({ expert }) => expert),
    [0, 1, 3, 4, 7],
  );
});

test("the one that was wanted longest ago goes, of its own layer, and none that the same token wants", () => {
  const made = make(3, 0);
  for (const layer of [0, 1, 2] as const)
    for (const expert of [0, 1, 2]) {
      made.pager.want(0, layer, [expert], [], 2);
      read(made);
    }
  assert.equal(there(made), [0, 1, 2, 8, 9, 10, 16, 17, 18]);
  // 0 is the oldest of layer 1, but wanted again beside the new one: 1 goes.
  made.pager.want(0, 1, [0, 5], [], 2);
  read(made);
  assert.equal(there(made), [0, 1, 2, 8, 10, 13, 16, 17, 18]);
  // Asked in the other order it is the same: all of a token's are looked up before any goes.
  made.pager.want(0, 1, [7, 2], [], 2);
  read(made);
  assert.equal(there(made), [0, 1, 2, 10, 13, 15, 16, 17, 18]);
});

test("a prompt reads ahead: the waves after, then all of the next layer, as far as nobody misses the slots", () => {
  const made = make(2, 4);
  made.pager.want(0, 0, [0, 1], [2, 3], 4 * EXPERTS);
  const asked = read(made).filter(([, role]) => role === 0);
  // Ten slots: two at once, two of the waves after, and of the next layer's eight the first six.
  assert.equal(
    asked.map(([expert]) => expert),
    [0, 1, 2, 3, 8, 9, 10, 11, 12, 13],
  );
  // They count as there when the next layer's turn comes.
  const before = made.table.counts();
  made.pager.want(0, 1, [0, 1], [], 4 * EXPERTS - 1);
  const after = made.table.counts();
  assert.equal([after.hits - before.hits, after.misses - before.misses], [2, 0]);
});

test("few tokens read nothing ahead, and behind the last layer there is nothing", () => {
  const made = make(4, 4);
  made.pager.want(0, 0, [0, 1], [], 4 * EXPERTS - 1);
  assert.is(read(made).length, 6);
  made.pager.want(0, 2, [0, 1], [], 1000);
  assert.is(read(made).length, 6);
});

test("a layer's experts are taken in waves that there are slots for, the next being read meanwhile", () => {
  const { pager } = make(2, 4);
  const all = Array.from({ length: EXPERTS }, (_, i) => i);
  // A prompt has what its layer keeps and the spare but for those that steps between two parts of it count on.
  assert.equal(pager.waves(0, 1, all.slice(0, 4)), [[0, 1, 2, 3]]);
  assert.equal(pager.waves(0, 1, all), [
    [0, 1],
    [2, 3],
    [4, 5],
    [6, 7],
  ]);
  assert.equal(pager.waves(1, 1, [3, 4]), [[3, 4]]);
  assert.equal(pager.waves(1, 1, [3, 4, 6]), [[3], [4], [6]]);
});

test.run();
