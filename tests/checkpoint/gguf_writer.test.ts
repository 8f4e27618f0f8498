// What the writer writes, the reader reads back: metadata, types, bytes; and a fixture written again is the same file.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { InputError } from "../../src/errors.ts";
import { formats, rowBytes } from "../../src/quant/formats.ts";
import { fixture } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

/** The file's bytes, and how many the writer says it wrote. */
async function write(metadata: GGUFPair[], tensors: GGUFTensor[]): Promise<{ bytes: Uint8Array; size: number }> {
  const pieces: Uint8Array[] = [];
  const size = await writeGGUF({ write: async (bytes) => void pieces.push(bytes.slice()) }, metadata, tensors);
  return { bytes: Buffer.concat(pieces), size };
}

const read = async (bytes: Uint8Array) => readGGUF(await memoryFiles({ f: bytes }).open("f"));

test("fixtures written again are the same bytes", async () => {
  // Those whose tensors stand in order and without gaps, in version 3, as this writer lays them out.
  const others = ["version2.gguf", "reversed_gaps.gguf", "trailing_bytes.gguf", "bytes.gguf"];
  const names = readdirSync(fixture("fixtures/gguf/forms")).filter((n) => n.endsWith(".gguf") && !others.includes(n));
  for (const name of names) {
    const original = new Uint8Array(readFileSync(join(fixture("fixtures/gguf/forms"), name)));
    const { metadata, types, tensors } = await read(original);
    const again = await write(
      [...metadata].map(([key, value]) => [key, types.get(key)!, value] as const),
      tensors.map(({ name, format, shape, offset, bytes }) => ({
        name,
        format: format.name,
        shape,
        data: () => [original.subarray(offset, offset + bytes)],
      })),
    );
    assert.is(Buffer.compare(again.bytes, original), 0, name);
    assert.is(again.size, original.length);
  }
  console.log(`# ${names.length} GGUF fixtures written again bit for bit`);
});

test("every format, odd sizes, pieces of any length, another alignment", async () => {
  const tensors = Object.values(formats).map((format, i): GGUFTensor & { all: Uint8Array } => {
    const shape = [[format.block_values], [3, 2 * format.block_values], [2, 3, format.block_values]][i % 3];
    const all = new Uint8Array(shape.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(format, shape.at(-1)!));
    all.forEach((_, at) => {
      all[at] = at * 31 + i;
    });
    async function* data() {
      for (let at = 0, length = 1; at < all.length; at += length, length = 2 * length + 1)
        yield all.subarray(at, at + length);
    }
    return { name: `tensor ${format.name}`, format: format.name, shape, data, all };
  });
  const { bytes, size } = await write([["general.alignment", "u32", 256]], tensors);
  assert.is(size, bytes.length);
  const header = await read(bytes);
  assert.is(header.alignment, 256);
  assert.is(header.tensors.length, tensors.length);
  for (const [i, tensor] of header.tensors.entries()) {
    assert.equal(
      [tensor.name, tensor.format.name, tensor.shape],
      [tensors[i].name, tensors[i].format, tensors[i].shape],
    );
    assert.is(tensor.offset % 256, 0);
    assert.equal(Uint8Array.from(bytes.subarray(tensor.offset, tensor.offset + tensor.bytes)), tensors[i].all);
  }
});

test("plain arrays do for typed ones", async () => {
  const { bytes } = await write(
    [
      ["a", "u64[]", [1n, 2n ** 63n]],
      ["b", "f32[]", [0.5, -1]],
      ["c", "u64", 7],
    ],
    [],
  );
  const { metadata } = await read(bytes);
  assert.equal(
    [...metadata],
    [
      ["a", BigUint64Array.of(1n, 2n ** 63n)],
      ["b", Float32Array.of(0.5, -1)],
      ["c", 7],
    ],
  );
});

test("wrong input is refused", async () => {
  const tensor = (format: "Q4_K" | "F32", shape: number[], bytes: number): GGUFTensor => ({
    name: "t",
    format,
    shape,
    data: () => [new Uint8Array(bytes)],
  });
  const cases: [RegExp, GGUFPair[], GGUFTensor[]][] = [
    [/t: expected 16 bytes of F32 \[4\], found 12/, [], [tensor("F32", [4], 12)]],
    [/t: expected 16 bytes of F32 \[4\], found 20/, [], [tensor("F32", [4], 20)]],
    [/whole Q4_K blocks \(256 values\), found \[100\]/, [], [tensor("Q4_K", [100], 0)]],
    [/1 to 4 dimensions/, [], [tensor("F32", [], 4)]],
    [/1 to 4 dimensions/, [], [tensor("F32", [4, 0], 0)]],
    [/general.alignment: expected a power of two/, [["general.alignment", "u32", 24]], []],
  ];
  for (const [message, metadata, tensors] of cases) {
    try {
      await write(metadata, tensors);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, InputError);
      assert.match((error as Error).message, message);
    }
  }
});

test.run();
