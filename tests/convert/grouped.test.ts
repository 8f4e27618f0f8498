// What GPTQ, AWQ and compressed-tensors store, of every width, size of group and odd shape: made as blocks, or as F32 where
// groups are no whole blocks, the values are those of the formulae, bit for bit (grouped_small.ts packs them).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Converters } from "../../src/convert/converters.ts";
import { groupedArgs } from "../../src/kernels/convert.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { rowBytes } from "../../src/quant/formats.ts";
import type { MadeMatrix } from "../../src/weights/weights.ts";
import {
  type GroupedCase,
  groupedFile,
  groupedMatrix,
  quantizationConfig,
  shuffledGroups,
} from "../checkpoint/grouped_small.ts";
import { smallConfig } from "../checkpoint/safetensors.ts";
import { root } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";
import { memoryFiles } from "../repositories.ts";
import { Shop } from "./shop.ts";

const shop = new Shop();

/** Makes a case's matrix. @returns its values, the columns where the checkpoint has them, and the format they were in */
async function make(
  of: GroupedCase,
  seed: number,
): Promise<{ found: Float32Array; truth: Float32Array; format: string }> {
  const { tensors, values: truth } = groupedMatrix("m", of, seed);
  const config = JSON.stringify({ ...smallConfig, quantization_config: quantizationConfig(of) });
  const checkpoint = await openCheckpoint(
    memoryFiles({ "config.json": config, "model.safetensors": groupedFile(tensors) }),
  );
  const { format, shape, recipe, order } = checkpoint.packed.get("m.weight")!;
  const [rows, cols] = shape;
  assert.equal([rows, cols], [of.rows, of.cols]);
  const matrix: MadeMatrix = { name: "m", format, rows, cols, bytes: rows * rowBytes(format, cols), recipe };
  const converters = await Converters.start(await currentPlatform(), 1, [matrix]);
  const made = shop.dequantize(format, await converters.bytes(matrix), rows * cols);
  await converters.dispose();
  await checkpoint.close();
  const found = made.slice();
  if (order) for (let i = 0; i < made.length; i++) found[i - (i % cols) + order[i % cols]] = made[i];
  return { found, truth, format: format.name };
}

const gptq = { layout: "gptq", bits: 4, rows: 40, cols: 384 } as const;
const cases: readonly [format: string, of: GroupedCase][] = [
  ["INT4_32", { ...gptq, group: 32 }],
  ["INT4_32", { ...gptq, group: 96 }],
  ["INT4_128", { ...gptq, group: 128 }],
  ["INT4_128", { ...gptq, group: -1 }],
  // The last group is shorter.
  ["INT4_128", { ...gptq, group: 256 }],
  ["INT4_32", { ...gptq, group: 160 }],
  // Groups that are no whole blocks, rows that are no whole groups of 128.
  ["F32", { ...gptq, group: 48 }],
  ["F32", { ...gptq, cols: 160, group: 32 }],
  ["F32", { ...gptq, cols: 200, group: 128 }],
  ["F32", { ...gptq, cols: 8, rows: 8, group: -1 }],
  ["INT4_32", { ...gptq, bits: 2, rows: 48, group: 64 }],
  ["INT4_32", { ...gptq, bits: 3, rows: 96, group: 32 }],
  ["INT4_128", { ...gptq, bits: 3, rows: 32, group: 384 }],
  ["F32", { ...gptq, bits: 3, rows: 32, cols: 96, group: 96 }],
  ["INT8_32", { ...gptq, bits: 8, rows: 4, group: 64 }],
  ["INT8_128", { ...gptq, bits: 8, rows: 20, group: 128 }],
  ["INT8_128", { ...gptq, bits: 8, group: -1 }],
  ["INT4_32", { ...gptq, layout: "gptq_v2", group: 32 }],
  ["INT8_128", { ...gptq, layout: "gptq_v2", bits: 8, group: 128 }],
  // Inputs in an order of their own; and one in which the groups are not of one size.
  ["INT4_32", { ...gptq, group: 32, index: shuffledGroups(384, 32, 3) }],
  ["INT4_128", { ...gptq, group: 256, index: shuffledGroups(384, 256, 4) }],
  ["INT8_128", { ...gptq, bits: 8, group: 128, index: shuffledGroups(384, 128, 5) }],
  ["INT4_32", { ...gptq, bits: 3, rows: 64, group: 64, index: shuffledGroups(384, 64, 6) }],
  ["F32", { ...gptq, cols: 160, group: 32, index: shuffledGroups(160, 32, 7) }],
  ["F32", { ...gptq, group: 192, index: shuffledGroups(384, 192, 8).map((g, i) => (i === 0 ? 1 - g : g)) }],
  ["INT4_32", { layout: "awq", bits: 4, rows: 24, cols: 256, group: 64 }],
  ["INT4_128", { layout: "awq", bits: 4, rows: 8, cols: 256, group: 128 }],
  ["F32", { layout: "awq", bits: 4, rows: 16, cols: 100, group: 50 }],
  ["INT4_32", { layout: "packed", bits: 4, rows: 5, cols: 640, group: 32 }],
  ["INT4_128", { layout: "packed", bits: 4, rows: 37, cols: 256, group: 128, symmetric: true }],
  ["INT4_128", { layout: "packed", bits: 2, rows: 3, cols: 256, group: -1 }],
  ["INT8_32", { layout: "packed", bits: 8, rows: 19, cols: 256, group: 32 }],
  ["INT8_128", { layout: "packed", bits: 8, rows: 1, cols: 128, group: -1, symmetric: true }],
  ["F32", { layout: "packed", bits: 4, rows: 6, cols: 104, group: 52 }],
  ["INT4_32", { layout: "packed", bits: 4, rows: 20, cols: 256, group: 64, index: shuffledGroups(256, 64, 9) }],
  ["INT8_128", { layout: "int8", bits: 8, rows: 18, cols: 256, group: -1, symmetric: true }],
  ["F32", { layout: "int8", bits: 8, rows: 7, cols: 131, group: -1, symmetric: true }],
];

for (const [i, [expected, of]] of cases.entries()) {
  const { layout, bits, rows, cols, group, index } = of;
  test(`${layout}, ${bits} bits, [${rows}, ${cols}] by ${group}${index ? " in an order" : ""}: as ${expected}`, async () => {
    const { found, truth, format } = await make(of, 1000 + i);
    assert.is(format, expected);
    assert.ok(sameBits(found, truth));
  });
}

test("more than 16 groups have zeros of their own", async () => {
  const { found, truth } = await make({ layout: "packed", bits: 4, rows: 9, cols: 32 * 36, group: 32 }, 77);
  assert.ok(sameBits(found, truth));
});

test("the struct has the fields of its twin, in order", () => {
  const source = readFileSync(join(root, "cpp", "convert", "grouped.cpp"), "utf8").replace(/\/\/.*$/gm, "");
  const body = /struct GroupedArgs \{([^}]*)\}/.exec(source)![1];
  const names = body.split(";").flatMap((line) => line.replace(/^.*?(\w+\*?) (?=\w+\s*(,|$))/s, "").split(","));
  assert.equal(names.map((name) => name.trim()).filter(Boolean), Object.keys(groupedArgs.fields));
});

test.run();
