// check_tensors over tensors that are larger than one part of 4 MiB, as every real model's are.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkTensors } from "../../src/checkpoint/check_tensors.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { CheckpointError } from "../../src/errors.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { type FormatName, formats } from "../../src/quant/formats.ts";
import { failure } from "../failure.ts";

const BEFORE = 40;

/** A checkpoint of one tensor: blocks whose scales are 1 and whose other bytes, read as scales, would be NaN. */
function large(name: FormatName, blocks: number) {
  const format = formats[name];
  const bytes = new Uint8Array(BEFORE + blocks * format.block_bytes).fill(0xff);
  const view = new DataView(bytes.buffer);
  const setScale = (block: number, scale: number, bits: number) =>
    view.setUint16(BEFORE + block * format.block_bytes + format.scales[scale], bits, true);
  for (let block = 0; block < blocks; block++)
    for (let scale = 0; scale < format.scales.length; scale++) setScale(block, scale, 0x3c00);
  const file = memoryFile("/m/model.gguf", bytes);
  const tensor = { name: "w", format, file, offset: BEFORE, bytes: blocks * format.block_bytes };
  return { checkpoint: { tensors: new Map([["w", tensor]]) } as unknown as Checkpoint, setScale };
}

for (const [name, blocks] of [
  ["Q4_K", 30_000], // 4.3 MB: 29,127.1 blocks fill a part
  ["Q8_0", 250_000], // 8.5 MB
] as const)
  test(`${name}: good ones pass, and a NaN behind the first part is found at its value`, async () => {
    const { checkpoint, setScale } = large(name, blocks);
    await checkTensors(checkpoint);
    for (const block of [blocks - 1, 29_130]) {
      setScale(block, 0, 0x7e00);
      const error = await failure(checkTensors(checkpoint));
      assert.instance(error, CheckpointError);
      const value = block * formats[name].block_values;
      assert.match(
        error.message,
        `w: expected finite numbers, found NaN or an infinity in the ${name} block at value ${value} in`,
      );
      setScale(block, 0, 0x3c00);
    }
  });

test("an abort is looked at between parts", async () => {
  const { checkpoint } = large("Q8_0", 250_000);
  const controller = new AbortController();
  const [{ file }] = checkpoint.tensors.values();
  const { read } = file;
  let reads = 0;
  file.read = async (offset, target) => {
    if (++reads === 2) controller.abort(new Error("enough"));
    await read(offset, target);
  };
  assert.is((await failure(checkTensors(checkpoint, controller.signal))).message, "enough");
  assert.is(reads, 2);
});

test.run();
