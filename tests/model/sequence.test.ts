// Rows of a prompt and the tokens behind it: which token, which position, how far each row's call reaches.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { rowsOf } from "../../src/model/sequence.ts";

const prompt = {
  tokens: Int32Array.of(7, 8, 9),
  positions: Uint32Array.of(3, 4, 6),
  reach: 7,
  padding: Uint8Array.of(0, 1, 0),
};
const plain = (rows: ReturnType<typeof rowsOf>) => ({
  tokens: [...rows.tokens],
  positions: [...rows.positions],
  reaches: [...rows.reaches],
  ...(rows.padding ? { padding: [...rows.padding] } : {}),
});
const drawn = (i: number) => 100 + i;

test("of the prompt alone, of both, of the tokens behind it alone", () => {
  assert.equal(plain(rowsOf(prompt, 1, 3, drawn)), {
    tokens: [8, 9],
    positions: [4, 6],
    reaches: [7, 7],
    padding: [1, 0],
  });
  const both = plain(rowsOf(prompt, 2, 5, drawn));
  assert.equal(
    [both.tokens, both.positions, both.reaches],
    [
      [9, 100, 101],
      [6, 7, 8],
      [7, 8, 9],
    ],
  );
  const behind = plain(rowsOf(prompt, 4, 6, drawn));
  assert.equal(behind, { tokens: [101, 102], positions: [8, 9], reaches: [9, 10] });
});

test.run();
