// The two lists of formats, src/quant/formats.ts and cpp/formats.def, say the same line by line.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formats, repackedFormats } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";

test("formats.ts lists what formats.def lists, in its order", () => {
  const lines = readFileSync(join(root, "cpp", "formats.def"), "utf8").split("\n");
  const listed = lines
    .filter((line) => /^(FLOAT|BLOCK)_FORMAT\(/.test(line))
    .map((line) => line.replace(/, \w+\)$/, ""));
  const expected = [...Object.values(formats), ...Object.values(repackedFormats)].map(
    ({ name, id, block_values, block_bytes, quantized }) => {
      const kind = quantized ? "BLOCK" : "FLOAT";
      return `${kind}_FORMAT(${name.toLowerCase()}, ${name}, ${id}, ${block_values}, ${block_bytes}`;
    },
  );
  assert.equal(listed, expected);
  for (const [key, { name }] of Object.entries(formats)) assert.is(name, key);
});

test.run();
