// docs/choosing.md: its sizes follow from llama-quantize's rules, its speeds from the rates that it names.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { computedRate } from "../bench/parts/files.ts";
import { type Shape, shapes, sizesIn } from "../bench/shapes.ts";
import { fileTypeOf } from "../src/quant/mixes.ts";
import { root } from "./fixtures.ts";

const page = `\n${readFileSync(join(root, "docs", "choosing.md"), "utf8")}`;

/** The cells of the table under a heading. */
function table(heading: string): string[][] {
  const section = page.split(new RegExp(`\\n##? ${heading}\\n`))[1];
  const lines = section.split("\n## ")[0].split("\n");
  const rows = lines.filter((line) => line.startsWith("|")).map((line) => line.split("|").slice(1, -1));
  return rows.slice(2).map((row) => row.map((cell) => cell.trim()));
}

const rates = new Map(
  table("Rates").flatMap(([formats, rate]) => formats.split(", ").map((name) => [name, Number(rate)])),
);
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** Keys and values of 4,096 positions in f32, and what the engine has of its own. */
const BESIDE = 32 * 2 * 8 * 128 * 4 * 4096 + 0.15e9;

const models: [string, Shape][] = [
  ["Mixtral 8x7B", shapes["8x7b"]],
  ["Mistral 7B", shapes["7b"]],
];

for (const [name, shape] of models) {
  test(`${name}: sizes and speeds`, () => {
    const rows = table(name);
    assert.ok(rows.length >= 7, `${rows.length} rows`);
    for (const [type, ...cells] of rows) {
      const { all, read } = sizesIn(fileTypeOf(type)!, shape);
      const reads = [...read.values()].reduce((a, b) => a + b, 0);
      const speed = computedRate(read, (format) => rates.get(format)!).toFixed(1);
      assert.equal(cells.slice(0, 4), [gigabytes(all), gigabytes(all + BESIDE), gigabytes(reads), speed], type);
    }
  });

  test(`${name}: what is advised fits`, () => {
    const column = 1 + models.findIndex(([each]) => each === name);
    let advised = 0;
    for (const row of table("Which file for which machine")) {
      const type = fileTypeOf(row[column].split(" ")[0]);
      if (!type) continue;
      const memory = sizesIn(type, shape).all + BESIDE;
      assert.ok(memory <= Number.parseFloat(row[0]) * 1e9, `${row[0]}: ${type.name} wants ${gigabytes(memory)} GB`);
      advised++;
    }
    assert.ok(advised >= 4, `${advised} rows`);
  });
}

// bartowski/Mixtral-8x22B-v0.1-GGUF, made with llama.cpp b2636, as its page lists them.
const listed = {
  ...{ Q5_K_M: 99.96, Q5_K_S: 96.97, Q4_K_M: 85.58, Q4_K_S: 80.47, Q3_K_L: 72.57, Q3_K_M: 67.78 },
  ...{ IQ3_M: 64.49, IQ3_S: 61.49, Q3_K_S: 61.49, IQ3_XS: 58.22, Q2_K: 52.1 },
};

test("sizes are those of files on the hub", () => {
  const shape = { hidden: 6144, ffn: 16384, layers: 56, heads: 48, kv_heads: 8, vocab: 32000, window: 0 };
  for (const [type, size] of Object.entries(listed)) {
    const all = sizesIn(fileTypeOf(type)!, shape).all / 1e9;
    assert.ok(Math.abs(all - size) < 0.02, `${type}: ${all} GB, listed as ${size}`);
  }
});

test.run();
