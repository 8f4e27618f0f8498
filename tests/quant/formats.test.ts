// The two lists of formats, src/quant/formats.ts and cpp/formats.def, say the same line by line; and which halves of a block
// are its scales is what the decoding twin says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { firstNotFinite } from "../../src/quant/finite.ts";
import { formats, ownFormats, repackedFormats } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";
import { decodeRow } from "../kernels/twin.ts";

test("formats.ts lists what formats.def lists, in its order", () => {
  const lines = readFileSync(join(root, "cpp", "formats.def"), "utf8").split("\n");
  const listed = lines
    .filter((line) => /^(FLOAT|BLOCK|ROW)_FORMAT\(/.test(line))
    .map((line) => line.replace(/, \w+\)$/, ""));
  const expected = [formats, repackedFormats, ownFormats]
    .flatMap((table) => Object.values(table))
    .map(({ name, id, block_values, block_bytes, quantized, row_head }) => {
      const kind = row_head ? "ROW" : quantized ? "BLOCK" : "FLOAT";
      return `${kind}_FORMAT(${name.toLowerCase()}, ${name}, ${id}, ${block_values}, ${block_bytes}`;
    });
  assert.equal(listed, expected);
  for (const [key, { name }] of Object.entries(formats)) assert.is(name, key);
});

test("a block with a half that makes its values no numbers is found, and no other", () => {
  const numbers = Object.values(formats).filter(({ quantized }) => quantized);
  for (const format of [...numbers, ...Object.values(repackedFormats)]) {
    let found = 0;
    // IQ1_M's exponent is in two halves.
    for (const width of [2, 4]) {
      for (let at = 0; at < format.block_bytes; at++) {
        const row = new Uint8Array(3 * format.block_bytes).fill(1);
        row.subarray(format.block_bytes, 2 * format.block_bytes).fill(0xff, at, at + width);
        const finite = decodeRow(format, row).every(({ scale, minimum = 0, superMinimum = 0 }) =>
          [scale, minimum, superMinimum].every(Number.isFinite),
        );
        assert.is(firstNotFinite(format, row), finite ? -1 : 1, `${format.name}, ${width} bytes from ${at} on`);
        if (!finite) found++;
      }
    }
    assert.ok(found >= format.scales.length, format.name);
  }
  for (const [format, write] of [
    [formats.F32, (view: DataView, value: number) => view.setFloat32(8, value, true)],
    [formats.BF16, (view: DataView, value: number) => view.setUint16(4, value === 1 ? 0x3f80 : 0xff80, true)],
    [formats.F16, (view: DataView, value: number) => view.setUint16(4, value === 1 ? 0x7bff : 0x7c00, true)],
  ] as const) {
    const bytes = new Uint8Array(5 * format.block_bytes);
    write(new DataView(bytes.buffer), 1);
    assert.is(firstNotFinite(format, bytes), -1, format.name);
    write(new DataView(bytes.buffer), -Infinity);
    assert.is(firstNotFinite(format, bytes), 2, format.name);
  }
});

test.run();
