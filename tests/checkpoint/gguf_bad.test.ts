// Every malformed file of fixtures/gguf/bad, by the rules that bad.json states.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { CheckpointError } from "../../src/errors.ts";
import { failure } from "../failure.ts";
import { fixture, json } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { outcome } from "./outcome.ts";

const folder = fixture("fixtures/gguf/bad");
const { bad, ok, either, mutations } = json("fixtures/gguf/bad/bad.json");

/** The file (with the other parts, if split) in memory, and how opening it ends. */
async function open(name: string) {
  const beside = dirname(join(folder, name));
  const names = name.includes("/") ? readdirSync(beside) : [name];
  // The name must not contain a word that the error should.
  const files = Object.fromEntries(
    names.map((n) => [name.includes("/") ? n : "y.gguf", readFileSync(join(beside, n))]),
  );
  const { counts, ...repository } = memoryFiles(files, name.includes("/") ? name.split("/")[1] : "y.gguf");
  const message = await outcome(repository);
  assert.is(counts.opened, counts.closed, `${name}: files left open`);
  assert.ok(counts.largest <= Math.max(...Object.values(files).map((f) => f.length)), `${name}: memory`);
  return message;
}

test("bad files are refused with an error that says why", async () => {
  for (const [name, { wrong, words }] of Object.entries<{ wrong: string; words: string[] }>(bad)) {
    const message = await open(name);
    assert.ok(message !== null, `${name} (${wrong}) was opened`);
    const said = message!.toLowerCase();
    assert.ok(
      words.some((word) => said.includes(word.toLowerCase())),
      `${name} (${wrong}): ${message}`,
    );
  }
  console.log(`# ${Object.keys(bad).length} bad GGUF files refused`);
});

test("a tensor that begins within the one before is refused, one that begins at its end is not", async () => {
  const pieces: Uint8Array[] = [];
  const tensor = (name: string) => ({ name, format: "F32", shape: [32], data: () => [new Uint8Array(128)] }) as const;
  const sink = { write: async (bytes: Uint8Array) => void pieces.push(bytes.slice()) };
  await writeGGUF(sink, [], [tensor("first"), tensor("second")]);
  const bytes = Buffer.concat(pieces);
  // Behind the name: rank u32, dimension u64, type u32, offset u64.
  const at = bytes.indexOf("second") + "second".length + 16;
  for (const [offset, good] of [
    [128, true],
    [96, false],
    [0, false],
  ] as const) {
    bytes.writeBigUInt64LE(BigInt(offset), at);
    const opened = readGGUF(await memoryFiles({ f: bytes }).open("f"));
    if (good) await opened;
    else {
      const error = await failure(opened);
      assert.instance(error, CheckpointError);
      assert.match(error.message, /second.*overlap those of.*first|first.*overlap those of.*second/);
    }
  }
});

test("unusual files open", async () => {
  for (const name of Object.keys(ok)) assert.is(await open(name), null, name);
});

test("doubtful files end in an ordinary way", async () => {
  for (const name of Object.keys(either)) await open(name);
});

test("mutated headers end in an ordinary way, at once", async () => {
  const base = readFileSync(join(folder, "base.gguf"));
  let refused = 0;
  let slowest = 0;
  for (const mutation of mutations as [number, number][][]) {
    const bytes = Uint8Array.from(base);
    for (const [offset, byte] of mutation) bytes[offset] = byte;
    const { counts, ...repository } = memoryFiles({ "y.gguf": bytes }, "y.gguf");
    const start = performance.now();
    if ((await outcome(repository)) !== null) refused++;
    slowest = Math.max(slowest, performance.now() - start);
    assert.ok(counts.largest <= bytes.length);
    assert.is(counts.opened, counts.closed);
  }
  assert.ok(slowest < 1000, `slowest ${slowest} ms`);
  console.log(`# ${mutations.length} mutations: ${refused} refused, slowest ${slowest.toFixed(1)} ms`);
});

test("no more than the beginning of a file is read", async () => {
  const base = readFileSync(join(folder, "base.gguf"));
  const { counts, ...repository } = memoryFiles({ "y.gguf": Buffer.concat([base, new Uint8Array(2 ** 24)]) }, "y.gguf");
  assert.is(await outcome(repository), null);
  assert.ok(counts.read <= 2 ** 20, `${counts.read} bytes read`);
});

test.run();
