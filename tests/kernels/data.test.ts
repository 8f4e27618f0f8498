// The kernels' constant data, the grids of the IQ formats: it stays where memory keeps room for it, stands in every memory that
// an instance is made on, also in one that is used again, and is whole for each of several threads that begin at once.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DATA_END, DATA_START, instantiate, stackTop } from "../../src/kernels/abi.ts";
import { formats } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";
import type { DataTask } from "./data_thread.ts";
import { wasmBuilds as builds } from "./harness.ts";

const modules = builds.map(
  (build) => new WebAssembly.Module(readFileSync(join(root, "wasm", `kernels-${build}.wasm`))),
);
const newMemory = () => new WebAssembly.Memory({ initial: 32, maximum: 32, shared: true });

/** The bytes of a memory, copied. */
const bytesOf = (memory: WebAssembly.Memory) => Buffer.from(new Uint8Array(memory.buffer).slice());

for (const [i, module] of modules.entries()) {
  test(`${builds[i]}: an instance writes its data between the logits module's bytes and the stacks`, () => {
    const memory = newMemory();
    instantiate(module, memory, stackTop(0));
    const bytes = bytesOf(memory);
    const first = bytes.findIndex((byte) => byte !== 0);
    const last = bytes.findLastIndex((byte) => byte !== 0);
    assert.ok(first >= DATA_START && last < DATA_END, `bytes ${first} to ${last}`);
    // Of the largest grid 2048 entries of 8 bytes.
    assert.ok(last - first > 16384);
    // Where the kernels look for it, without asking.
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    assert.is((exports.tables as WebAssembly.Global).value, DATA_START);
    console.log(`# ${builds[i]}: constant data in bytes ${first} to ${last}`);
  });

  test(`${builds[i]}: a second instance leaves it, and a memory that was emptied has it again`, () => {
    const memory = newMemory();
    instantiate(module, memory, stackTop(0));
    const expected = bytesOf(memory);
    instantiate(module, memory, stackTop(1));
    assert.ok(bytesOf(memory).equals(expected));
    new Uint8Array(memory.buffer).fill(0);
    instantiate(module, memory, stackTop(0));
    assert.ok(bytesOf(memory).equals(expected));
  });
}

test("threads that begin at once on one memory all find it", async () => {
  // A block of IQ2_S whose bytes are 0 but for d, 8: all values are those of entry 0, eight bytes of 8.
  const block = new Uint8Array(formats.IQ2_S.block_bytes);
  block.set([0x00, 0x48]);
  const count = 4;
  for (let round = 0; round < 4; round++) {
    const memory = newMemory();
    const gate = new SharedArrayBuffer(4);
    const answers = await Promise.all(
      Array.from({ length: count }, (_, i) => {
        const at = 2 ** 20 + 4096 * i;
        new Uint8Array(memory.buffer).set(block, at);
        const task: DataTask = { module: modules[0], memory, gate, count, stack_top: stackTop(i), at };
        const worker = new Worker(new URL("./data_thread.js", import.meta.url), { workerData: task });
        return new Promise<number[]>((resolve, reject) => {
          worker.on("message", resolve);
          worker.on("error", reject);
        }).finally(() => worker.terminate());
      }),
    );
    for (const values of answers) assert.ok(values.every((value) => value === 8));
  }
});

test.run();
