// What the writer writes: the reference writer's own files again, bit for bit; what the reader reads back; shards.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { dtypeBytes, readSafetensors, type SafetensorsDtype } from "../../src/checkpoint/safetensors.ts";
import { type SafetensorsTensor, writeSafetensors, writeShards } from "../../src/checkpoint/safetensors_writer.ts";
import { readShards } from "../../src/checkpoint/shards.ts";
import { InputError } from "../../src/errors.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../failure.ts";
import { fixture, fixturesFrom, hasFixture } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function write(tensors: SafetensorsTensor[], metadata?: Record<string, string>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const size = await writeSafetensors({ write: async (bytes) => void pieces.push(bytes.slice()) }, tensors, metadata);
  const bytes = Buffer.concat(pieces);
  assert.is(size, bytes.length);
  return bytes;
}

/** Fixtures that the reference's Python writer has written. */
const written = ["fixtures/hf/base", "fixtures/hf/window_8", ...(hasFixture("fixtures/lora") ? ["fixtures/lora"] : [])];

test("files of the reference writer written again are the same bytes", async () => {
  let count = 0;
  for (const name of written.flatMap((path) =>
    readdirSync(fixture(path), { recursive: true, encoding: "utf8" }).map((name) => join(fixture(path), name)),
  )) {
    if (!name.endsWith(".safetensors")) continue;
    const original = new Uint8Array(readFileSync(name));
    const { entries, metadata } = await readSafetensors(await memoryFiles({ f: original }).open("f"));
    // In another order than the file's.
    const tensors = entries.toReversed().map(({ name, dtype, shape, offset, bytes }) => ({
      name,
      dtype: dtype as SafetensorsDtype,
      shape,
      data: () => [original.subarray(offset, offset + bytes)],
    }));
    assert.is(Buffer.compare(await write(tensors, Object.fromEntries(metadata)), original), 0, name);
    count++;
  }
  console.log(`# ${count} safetensors fixtures written again bit for bit`);
  assert.ok(count >= (fixturesFrom === "../shared" ? 34 : 4), `found ${count}`);
});

/** A tensor whose bytes tell where they are, in pieces of growing lengths. */
function tensor(name: string, dtype: SafetensorsDtype, shape: number[]): SafetensorsTensor & { bytes: Uint8Array } {
  const bytes = new Uint8Array(shape.reduce((a, b) => a * b, dtypeBytes[dtype])).map((_, i) => i * 31 + shape.length);
  async function* data() {
    for (let at = 0, length = 1; at < bytes.length; at += length, length = 2 * length + 1)
      yield bytes.subarray(at, at + length);
  }
  return { name, dtype, shape, data, bytes };
}

test("every type, names of any text, no values and single ones", async () => {
  const all = Object.keys(dtypeBytes) as SafetensorsDtype[];
  const tensors = all.map((dtype, i) =>
    tensor(`${dtype} "\u00e9\ud83d\ude00\\${i}`, dtype, [[], [0], [3, 5], [2, 3, 4]][i % 4]),
  );
  tensors.push(tensor("10", "U8", [1]), tensor("9", "U8", [3]));
  const bytes = await write(tensors, {});
  const { entries, metadata } = await readSafetensors(await memoryFiles({ f: bytes }).open("f"));
  assert.is(metadata.size, 0);
  assert.is(entries.length, tensors.length);
  for (const { name, dtype, shape, offset, bytes: length } of entries) {
    const given = tensors.find((each) => each.name === name)!;
    assert.equal([dtype, shape], [given.dtype, given.shape], name);
    assert.equal(bytes.subarray(offset, offset + length), Buffer.from(given.bytes), name);
    assert.is(offset % dtypeBytes[given.dtype], 0, `${name} is aligned`);
  }
});

test("what is no tensor is refused", async () => {
  const good = tensor("a", "F32", [2]);
  for (const [tensors, words] of [
    [[{ ...good, data: () => [new Uint8Array(7)] }], /^a: expected 8 bytes of F32 \[2\], found 7/],
    [[{ ...good, data: () => [new Uint8Array(7), new Uint8Array(2)] }], /found 9/],
    [[{ ...good, shape: [1.5] }], /a: expected a shape of whole numbers, found \[1.5\]/],
    [[{ ...good, shape: [-1, -2] }], /whole numbers/],
    [[{ ...good, shape: [2 ** 30, 2 ** 30] }], /whole numbers/],
    [[good, good], /names that differ, found a twice/],
    [[{ ...good, name: "__metadata__" }], /__metadata__ twice/],
  ] as [SafetensorsTensor[], RegExp][]) {
    const error = await failure(write(tensors));
    assert.instance(error, InputError);
    assert.match(error.message, words);
  }
});

test("shards: cut by size in the order given, found again by their index", async () => {
  const platform = await currentPlatform();
  const tensors = [3, 4, 1, 90, 2, 2, 2].map((rows, i) => tensor(`t${i}`, i % 2 ? "F32" : "BF16", [rows, 8]));
  for (const [most, expected] of [
    [1e6, ["model.safetensors"]],
    [200, [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`).concat("model.safetensors.index.json")],
  ] as [number, string[]][]) {
    const place = join(folder, String(most));
    mkdirSync(place);
    assert.equal(await writeShards(platform, place, tensors, most), expected);
    assert.equal(readdirSync(place).sort(), [...expected].sort());
    const repository = await repositoryAt(place);
    const opened: { close(): Promise<void> }[] = [];
    const { entries, absent } = await readShards(
      repository,
      async (name) => {
        const file = await repository.open(name);
        opened.push(file);
        return file;
      },
      "model",
    );
    assert.is(absent.size, 0);
    assert.is(entries.size, tensors.length);
    for (const { name, bytes } of tensors) {
      const { file, offset } = entries.get(name)!;
      const read = new Uint8Array(bytes.length);
      await file.read(offset, read);
      assert.equal(read, bytes, name);
    }
    await Promise.all(opened.map((file) => file.close()));
  }
  const index = JSON.parse(readFileSync(join(folder, "200", "model.safetensors.index.json"), "utf8"));
  assert.is(
    index.metadata.total_size,
    tensors.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
  // 48 + 128 + 16 bytes, 2880, 32 + 64 + 32.
  assert.equal(
    tensors.map(({ name }) => index.weight_map[name][10]),
    ["1", "1", "1", "2", "3", "3", "3"],
  );
});

test.run();
