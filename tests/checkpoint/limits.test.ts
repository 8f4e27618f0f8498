// How much a header may hold, limit by limit; and that a long one is read on from where the part before ended.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { type GGUFPair, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { parseJSON } from "../../src/checkpoint/json.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { CheckpointError } from "../../src/errors.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { SourceFile } from "../../src/platform/platform.ts";
import { failure } from "../failure.ts";
import { safetensorsFile } from "./safetensors.ts";

const refused = async (promise: Promise<unknown>, pattern: RegExp) => {
  const error = await failure(promise);
  assert.instance(error, CheckpointError);
  assert.match(error.message, pattern);
};

/** A file of `size` bytes that begins with a GGUF's first and ends in zeros, of which none is stored. */
function ggufOf(size: number, tensors: number, pairs: number, rest: readonly number[] = []): SourceFile {
  const u64 = (value: number) => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
  const start = Uint8Array.from([71, 71, 85, 70, 3, 0, 0, 0, ...u64(tensors), ...u64(pairs), ...rest]);
  return {
    ...memoryFile("m.gguf", start),
    size,
    read: async (offset, target) => void target.fill(0).set(start.subarray(offset, offset + target.length)),
  };
}

const key = [1, 0, 0, 0, 0, 0, 0, 0, 107]; // "k"
const array = (type: number, count: number) => [
  ...key,
  9,
  0,
  0,
  0,
  type,
  0,
  0,
  0,
  ...new Uint8Array(new BigUint64Array([BigInt(count)]).buffer),
];

test("a GGUF header of more than those in use have is refused by its counts, before it is read", async () => {
  await refused(readGGUF(ggufOf(2 ** 30, 0, 65537)), /number of metadata pairs: expected at most 65536, found 65537/);
  await refused(readGGUF(ggufOf(2 ** 30, 65537, 0)), /number of tensors: expected at most 65536, found 65537/);
  const [string, bool, u8] = [8, 7, 0];
  for (const type of [string, bool])
    await refused(
      readGGUF(ggufOf(2 ** 30, 0, 1, array(type, 2 ** 20 + 1))),
      /k: expected at most 1048576 entries of type (string|bool), found 1048577/,
    );
  await refused(readGGUF(ggufOf(2 ** 30, 0, 1, array(u8, 2 ** 26))), /the header is longer than 67108864 bytes/);
});

test("a long GGUF header is read once, piece by piece", async () => {
  const tokens = Array.from({ length: 100_000 }, (_, i) => `token ${i}`);
  const pairs: GGUFPair[] = [
    ["general.name", "string", "long"],
    ["tokens", "string[]", tokens],
    ["scores", "f32[]", new Float32Array(100_000).fill(-1.5)],
    ["last", "u32", 7],
  ];
  const parts: Uint8Array[] = [];
  const sink = { write: async (bytes: Uint8Array) => void parts.push(bytes.slice()) };
  const tensor = { name: "t", format: "F32" as const, shape: [2 ** 21], data: () => [new Uint8Array(2 ** 23)] };
  await writeGGUF(sink, pairs, [tensor]);
  const whole = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const memory = memoryFile("m.gguf", whole);
  let end = 0;
  const file: SourceFile = {
    ...memory,
    async read(offset, target) {
      assert.is(offset, end, "nothing is read twice");
      end = offset + target.length;
      await memory.read(offset, target);
    },
  };
  const { metadata, types, tensors } = await readGGUF(file);
  assert.equal(
    [...metadata.keys()],
    pairs.map(([name]) => name),
  );
  assert.equal(
    [...types.values()],
    pairs.map(([, type]) => type),
  );
  assert.equal(metadata.get("tokens"), tokens);
  assert.equal(metadata.get("scores"), pairs[2][2]);
  assert.is(metadata.get("last"), 7);
  assert.is(tensors[0].offset, whole.length - 2 ** 23);
  assert.ok(end < whole.length, `${end} bytes of ${whole.length}`);
});

test("a safetensors header, and any JSON, has no more tensors, keys and values than those in use", async () => {
  const tensors = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`t${i}`, { dtype: "F32", shape: [0], data_offsets: [0, 0] }]),
    );
  assert.is((await readSafetensors(memoryFile("s", safetensorsFile(tensors(65536))))).entries.length, 65536);
  await refused(
    readSafetensors(memoryFile("s", safetensorsFile(tensors(65537)))),
    /expected at most 65536 tensors, found 65537/,
  );
  const parse = async (text: string) => parseJSON(new TextEncoder().encode(text), "j");
  const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i.toString(36)}":0`).join()}}`;
  await refused(parse(keys(2 ** 20 + 1)), /j: JSON of more than 1048576 keys/);
  await refused(parse(`[${"0,".repeat(2 ** 23)}0]`), /j: JSON of more than 8388608 values/);
});

test("a folder that cannot be listed, and a file that cannot be read, are told by name", async () => {
  const platform = await currentPlatform();
  await refused(platform.list("no/such/folder"), /no\/such\/folder: cannot be listed/);
  const file = await platform.open(new URL(import.meta.url).pathname);
  await file.close();
  await refused(file.read(0, new Uint8Array(1)), /cannot be read/);
});

test.run();
