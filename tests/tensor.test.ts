// Tensor: rows and slices as views, and what is taken for token ids.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../src/errors.ts";
import { Tensor, toRows } from "../src/tensor.ts";

const refused = (call: () => unknown, pattern: RegExp) =>
  assert.throws(call, (error: unknown) => error instanceof InputError && pattern.test(error.message));

const tensor = new Tensor("int32", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [4, 3]);

test("slices: from the start, from the end, beyond both; views of the same memory", () => {
  const rows = tensor.tolist() as number[][];
  for (const [start, end] of [
    [0, 4],
    [1, 3],
    [-2, undefined],
    [0, -1],
    [-3, -1],
    [2, 2],
    [3, 1],
    [-9, 2],
    [1, 9],
  ] as const) {
    const slice = tensor.slice(start, end);
    assert.equal(slice.tolist(), rows.slice(start, end), `[${start}, ${end})`);
    assert.equal(slice.dims, [rows.slice(start, end).length, 3]);
  }
  tensor.slice(-1).data[0] = 90;
  assert.is(tensor[3][0], 90);
  tensor.data[9] = 9;
});

test("rows: by index, by row(), by iterating; none beyond the last", () => {
  assert.equal(
    [...tensor].map((row) => row.tolist()),
    tensor.tolist(),
  );
  assert.equal(tensor[2].tolist(), [6, 7, 8]);
  assert.is(tensor[2][1], 7);
  assert.is(tensor[4], undefined);
  assert.is(tensor.length, 4);
  assert.is(tensor.size, 12);
  for (const i of [-1, 4, 0.5]) refused(() => tensor.row(i), /expected a row in \[0, 4\)/);
  const cube = new Tensor(
    "float32",
    new Float32Array(24).map((_, i) => i),
    [2, 3, 4],
  );
  assert.equal(cube[1][2].tolist(), [20, 21, 22, 23]);
  assert.equal(cube.slice(1).dims, [1, 3, 4]);
});

test("data must have the type and the size that are told", () => {
  refused(() => new Tensor("float32", new Int32Array(2), [2]), /float32, found int32/);
  refused(() => new Tensor("float32", [1, 2, 3], [2, 2]), /need 4 values, found 3/);
  for (const [type, array] of [
    ["float32", Float32Array],
    ["int32", Int32Array],
    ["uint8", Uint8Array],
    ["int8", Int8Array],
  ] as const) {
    assert.instance(new Tensor(type, [1, 2], [2]).data, array);
    assert.is(new Tensor(type, new array(3), [3]).type, type);
  }
  assert.equal(new Tensor("int64", [1, 2], [2]).data, BigInt64Array.of(1n, 2n));
});

test("token ids: rows of integers of 32 bits, in any form", () => {
  for (const ids of [
    [5, 6],
    Int32Array.of(5, 6),
    [[5, 6]],
    [Int32Array.of(5, 6)],
    new Tensor("int32", [5, 6], [2]),
    new Tensor("int64", [5, 6], [1, 2]),
  ])
    assert.equal(toRows(ids as number[]), [Int32Array.of(5, 6)]);
  for (const [ids, pattern] of [
    [[2 ** 32 + 1], /input_ids\[0\]\[0\]: expected an integer, found 4294967297/],
    [[0, 2 ** 31], /input_ids\[0\]\[1\]/],
    [new Tensor("int64", BigInt64Array.of(1n, 2n ** 40n), [2]), /input_ids\[0\]\[1\]/],
    [[1.5], /expected an integer, found 1\.5/],
    [[[1], [2, 3]], /row 1 has 2 ids, row 0 has 1/],
    [[[1], 7], /input_ids\[1\]: expected a row/],
    ["12", /found "12"/],
    [new Tensor("int32", [1], [1, 1, 1]), /found \[1,1,1\]/],
  ] as [never, RegExp][])
    refused(() => toRows(ids), pattern);
});

test("a tensor without dimensions has one value and no rows", () => {
  const scalar = new Tensor("float32", [2.5], []);
  assert.equal([scalar.size, scalar.length, scalar.dims], [1, 0, []]);
  refused(() => scalar.row(0), /expected a row in \[0, 0\), found 0/);
});

test.run();
