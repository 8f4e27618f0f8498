// Tensor: rows and slices as views, and what is taken for token ids.
import { inspect } from "node:util";
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

/** numpy.arange(24).reshape(2, 3, 4) */
const cube = new Tensor(
  "float32",
  Float32Array.from({ length: 24 }, (_, i) => i),
  [2, 3, 4],
);

test("pieces: a slice for each dimension, as numpy's [:, -1], [1, 0:2, ::], [:, :, 1:-1] and so on; copies", () => {
  for (const [slices, dims, values] of [
    [
      [null, -1],
      [2, 4],
      [8, 9, 10, 11, 20, 21, 22, 23],
    ],
    [
      [1, [0, 2]],
      [2, 4],
      [12, 13, 14, 15, 16, 17, 18, 19],
    ],
    [
      [null, null, [1, -1]],
      [2, 3, 2],
      [1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22],
    ],
    [[[1, null], [null, 1], 3], [1, 1], [15]],
    [
      [null, [-2, 9], 0],
      [2, 2],
      [4, 8, 16, 20],
    ],
    [[null, [2, 1]], [2, 0, 4], []],
    [[[0, 1], 1, 2], [1], [6]],
  ] as const) {
    const piece = cube.slice(...slices);
    assert.equal([piece.dims, [...piece.data]], [dims, values], JSON.stringify(slices));
  }
  const copy = cube.slice(null);
  copy.data[0] = 9;
  assert.is(cube.data[0], 0);
  refused(() => cube.slice(null, 3), /slice: expected an index below 3 for dimension 1, found 3/);
  refused(() => cube.slice(null, null, null, null), /at most 3 slices, found 4/);
  refused(() => cube.slice([1] as never), /expected a number, \[start, end\] or null for dimension 0, found \[1\]/);
});

test("views of other dimensions, and copies", () => {
  assert.equal(cube.view(4, -1).dims, [4, 6]);
  assert.equal(cube.view(-1)[23], 23);
  assert.is(cube.view(6, 4).data, cube.data);
  for (const dims of [
    [5, -1],
    [-1, -1],
    [24, 2],
    [0, -1],
  ])
    refused(() => cube.view(...dims), /view: expected sizes of 24/);
  const line = cube.slice([0, 1], [1, 2]);
  assert.equal(
    [line.dims, line.squeeze().dims, line.squeeze(0).dims, line.squeeze(2).dims],
    [[1, 1, 4], [4], [1, 4], [1, 1, 4]],
  );
  assert.equal(
    [cube.unsqueeze(0).dims, cube.unsqueeze(-1).dims],
    [
      [1, 2, 3, 4],
      [2, 3, 4, 1],
    ],
  );
  refused(() => cube.unsqueeze(4), /expected a dimension/);
  assert.equal([cube.slice(0, 1).view(-1).slice(5, 6).item(), cube.view(-1).argmax().item()], [5, 23]);
  refused(() => cube.item(), /item: expected one value, found 24/);
  const other = new Tensor("float32", [1.7, -1.7], [2]);
  assert.equal(
    [other.to("int32").tolist(), other.to("int64").tolist()],
    [
      [1, -1],
      [1n, -1n],
    ],
  );
  assert.is(new Tensor("int64", [5n as never], []).to("float32").tolist(), 5);
  assert.is.not(cube.clone().data, cube.data);
});

test("argmax and softmax, along each dimension", () => {
  const scores = new Tensor("float32", [1, 3, 2, 3, 0, -1], [2, 3]);
  assert.equal(scores.argmax().tolist(), 1);
  assert.equal(
    [scores.argmax(1).tolist(), scores.argmax(0).tolist()],
    [
      [1, 0],
      [1, 0, 0],
    ],
  );
  assert.equal(scores.argmax(-1, true).dims, [2, 1]);
  const close = (found: number[][], wanted: number[][]) => {
    for (const [i, value] of found.flat().entries())
      assert.ok(Math.abs(value - wanted.flat()[i]) < 1e-6, `value ${i}: ${value}`);
  };
  close(scores.softmax().tolist(), [
    [0.0900306, 0.6652409, 0.2447285],
    [0.936239, 0.0466127, 0.0171483],
  ]);
  close(scores.softmax(0).tolist(), [
    [0.1192029, 0.9525741, 0.9525741],
    [0.8807971, 0.0474259, 0.0474259],
  ]);
  const masked = new Tensor("float32", [-Infinity, 0, 1000], [3]).softmax().tolist();
  assert.equal(masked, [0, 0, 1]);
});

test("console.log shows a line", () => {
  assert.is(inspect(cube), "Tensor float32 [2, 3, 4]");
  assert.is(inspect({ logits: cube }), "{ logits: Tensor float32 [2, 3, 4] }");
});

test.run();
