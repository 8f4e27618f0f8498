// How many tokens are drafted, by small numbers: steps of 10 ms, a row more 3 ms where nothing is known.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DraftLength } from "../../src/generation/draft_length.ts";

test("nothing before a plain step was timed; then as many as give the most tokens a millisecond", () => {
  const lengths = new DraftLength(4);
  assert.is(lengths.choose(0, 4), 0);
  lengths.observeStep(1, 10);
  // Of a kind that nothing is known of, half are right: (1 + 1/2) / 13 ms is more than 1 / 10, (1 + 1/2 + 1/4) / 16 is less.
  assert.is(lengths.choose(0, 4), 1);
  assert.is(lengths.choose(0, 0), 0);
  // Four of four were right: by 5/6 three are best, 3.1 / 19 against 2.5 / 16 and 3.6 / 22.
  lengths.observe(0, 4, 4);
  assert.is(lengths.choose(0, 4), 3);
  assert.is(lengths.choose(0, 2), 2);
  assert.is(new DraftLength(2).choose(0, 4), 0);
  // What is not known of a kind is taken from the one below.
  assert.is(lengths.choose(1, 4), 3);
  lengths.observe(1, 1, 0);
  lengths.observe(1, 1, 0);
  assert.is(lengths.choose(1, 4), 1);
  lengths.observe(1, 4, 0);
  lengths.observe(1, 4, 0);
  assert.is(lengths.choose(1, 4), 0);
  // What drafting takes counts: 5 ms a token is too much, as 1.8 / 18 is less than 1 / 10.
  lengths.observeDraft(2, 10);
  assert.is(lengths.choose(0, 4), 0);
  // What is seen later counts by a fifth: 4 ms, 3.2, 2.6 where drafts cost nothing any more.
  for (const expected of [1, 1, 2]) {
    lengths.observeDraft(1, 0);
    assert.is(lengths.choose(0, 4), expected);
  }
});

test("steps that were timed are believed, between them the line, beyond them the slope", () => {
  const lengths = new DraftLength(6);
  lengths.observeStep(1, 10);
  for (let i = 0; i < 40; i++) lengths.observe(0, 6, 6);
  assert.is(lengths.choose(0, 6), 6, "nearly all are right");
  lengths.observeStep(5, 100);
  // Five rows are dear: of two, 32.5 ms on the line, three tokens would be needed.
  assert.is(lengths.choose(0, 4), 0);
  lengths.observeStep(3, 11);
  assert.is(lengths.choose(0, 4), 2, "three rows are cheap");
  lengths.observeStep(7, 12);
  assert.is(lengths.choose(0, 6), 6, "and so are seven");
});

test("a plain step is timed again after 64 with drafts", () => {
  const lengths = new DraftLength(4);
  lengths.observeStep(1, 10);
  for (let i = 0; i < 64; i++) lengths.observeStep(2, 10);
  assert.ok(lengths.choose(0, 4) > 0);
  lengths.observeStep(2, 10);
  assert.is(lengths.choose(0, 4), 0);
  lengths.observeStep(1, 10);
  assert.ok(lengths.choose(0, 4) > 0);
});

test("drafts that are dear are tried again after 128 steps without, after twice as many where that was in vain", () => {
  const lengths = new DraftLength(4);
  const until = () => {
    let steps = 0;
    while (!lengths.due) {
      lengths.observeStep(1, 10);
      steps++;
    }
    return steps;
  };
  assert.is(until(), 128);
  for (const [right, next] of [
    [0, 256],
    [0, 512],
    [1, 128],
    [0, 256],
  ]) {
    lengths.observeStep(2, 20);
    assert.not(lengths.due);
    lengths.observe(0, 1, right);
    assert.is(until(), next);
  }
  // A draft that was not due, and wrong, changes nothing.
  lengths.observeStep(2, 20);
  lengths.observe(0, 1, 1);
  lengths.observeStep(2, 20);
  lengths.observe(0, 1, 0);
  assert.is(until(), 128);
});

test.run();
