// The tables of docs/choosing.md: sizes follow from llama-quantize's rules, speeds from the rates that the page names.
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
  const section = page.split(new RegExp(`\\n##+ ${heading}\\n`))[1];
  const lines = section.split(/\n##+ /)[0].split("\n");
  const rows = lines.filter((line) => line.startsWith("|")).map((line) => line.split("|").slice(1, -1));
  return rows.slice(2).map((row) => row.map((cell) => cell.trim()));
}

const rates = new Map(
  table("Rates").flatMap(([formats, rate]) => formats.split(", ").map((name) => [name, Number(rate)])),
);
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** Bytes of a file, of keys and values of 4,096 positions in f32, and of what the engine has of its own. */
const memory = (all: number, { layers }: Shape): number => all + layers * 2 * 8 * 128 * 4 * 4096 + 0.15e9;

const models: [string, Shape][] = [
  ["Mixtral 8x7B", shapes["8x7b"]],
  ["Mistral 7B", shapes["7b"]],
  ["Mixtral 8x22B", shapes["8x22b"]],
];

for (const [name, shape] of models) {
  test(`${name}: sizes and speeds`, () => {
    const rows = table(name);
    assert.ok(rows.length >= 7, `${rows.length} rows`);
    for (const [type, ...cells] of rows) {
      const { all, read } = sizesIn(fileTypeOf(type)!, shape);
      const reads = [...read.values()].reduce((a, b) => a + b, 0);
      const speed = computedRate(read, (format) => rates.get(format)!).toFixed(1);
      assert.equal(cells.slice(0, 4), [gigabytes(all), gigabytes(memory(all, shape)), gigabytes(reads), speed], type);
    }
  });
}

test("what is advised fits", () => {
  let advised = 0;
  for (const [free, ...files] of table("Which file"))
    for (const [i, file] of files.entries()) {
      const type = fileTypeOf(file);
      if (!type) continue;
      const wanted = memory(sizesIn(type, models[i][1]).all, models[i][1]);
      assert.ok(wanted <= Number.parseFloat(free) * 1e9, `${free}: ${type.name} wants ${gigabytes(wanted)} GB`);
      advised++;
    }
  assert.is(advised, 13);
});

// bartowski/Mixtral-8x22B-v0.1-GGUF, made with llama.cpp b2636, as its page lists them.
const listed = {
  ...{ Q5_K_M: 99.96, Q5_K_S: 96.97, Q4_K_M: 85.58, Q4_K_S: 80.47, Q3_K_L: 72.57, Q3_K_M: 67.78 },
  ...{ IQ3_M: 64.49, IQ3_S: 61.49, Q3_K_S: 61.49, IQ3_XS: 58.22, Q2_K: 52.1 },
};

test("sizes are those of files on the hub", () => {
  for (const [type, size] of Object.entries(listed)) {
    const all = sizesIn(fileTypeOf(type)!, shapes["8x22b"]).all / 1e9;
    assert.ok(Math.abs(all - size) < 0.02, `${type}: ${all} GB, listed as ${size}`);
  }
});

test.run();
