// The encoders on rows of many kinds: beside what llama.cpp makes of them, which a lone clone has too; rows that no format can
// hold; and that a row's bytes depend on nothing but the row.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FormatName, formats } from "../../src/quant/formats.ts";
import { fixture, fixturesFrom, hasFixture, safetensors } from "../fixtures.ts";
import { Shop } from "./shop.ts";

/** What an error may be of llama.cpp's, as for whole tensors (encoders.test.ts). */
const ALLOWED = 1.02;

/** What rounding a scale to f16 may cost, relative: constant rows have no other error, and no better one than by luck. */
const HALF = 2 ** -11;

const shop = new Shop(1 << 24);
const names = (Object.keys(formats) as FormatName[]).filter((name) => name !== "F32");

/** Encoders that have nothing to choose without importance: the bytes are llama.cpp's. */
const exact = new Set(["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0", "MXFP4"]);

/** Weighted squares of what a row's values are off by. */
const squares = (x: Float32Array, got: Float32Array, importance?: Float32Array): number =>
  x.reduce((sum, value, i) => sum + (importance ? importance[i] : 1) * (value - got[i]) ** 2, 0);

let compared = 0;
for (const name of names) {
  const path = ["fixtures/gguf_iq/blocks", "fixtures/gguf/blocks"].map((folder) => `${folder}/${name}.safetensors`);
  // Of some formats the copies have no source.
  const found = path.find((file) => hasFixture(file) && "source" in safetensors(fixture(file)).tensors);
  if (!found) continue;
  compared++;
  test(`${name}: rows of every kind beside llama.cpp's blocks`, () => {
    const { tensors, metadata } = safetensors(fixture(found));
    const cols = tensors.source.shape[1];
    const source = tensors.source.data as Float32Array;
    const importance = tensors.importance?.data as Float32Array | undefined;
    const theirs = tensors.dequantized.data as Float32Array;
    const blocks = shop.encode(formats[name], source, cols, importance);
    const packed = tensors.packed.data as Uint8Array;
    const ours = shop.dequantize(formats[name], blocks, source.length);
    const kinds: string[] = JSON.parse(metadata.about).rows;
    assert.is(kinds.length, source.length / cols);
    const size = blocks.length / kinds.length;
    const sums = new Map<string, { ours: number; theirs: number; all: number }>();
    kinds.forEach((kind, r) => {
      const row = (values: Float32Array) => values.subarray(r * cols, (r + 1) * cols);
      // Of subnormal values llama.cpp takes an inverse that is infinite, and stores any codes beside a scale of 0.
      const subnormal = formats[name].quantized && row(source).some((v) => v !== 0 && Math.abs(v) < 2 ** -126);
      if (exact.has(name) && subnormal) assert.ok(row(ours).every((v) => v === 0) && row(theirs).every((v) => v === 0));
      else if (exact.has(name)) {
        const at = blocks.subarray(r * size, (r + 1) * size).findIndex((byte, i) => byte !== packed[r * size + i]);
        assert.is(at, -1, `row ${r}, ${kind}: byte ${at} is not llama.cpp's`);
      }
      const sum = sums.get(kind) ?? { ours: 0, theirs: 0, all: 0 };
      sum.ours += squares(row(source), row(ours), importance);
      sum.theirs += squares(row(source), row(theirs), importance);
      sum.all += squares(row(source), new Float32Array(cols), importance);
      sums.set(kind, sum);
    });
    const ratio = (a: number, b: number) => (a === b ? 1 : Math.sqrt(a / b));
    const told = [...sums].map(([kind, { ours, theirs }]) => `${kind} ${ratio(ours, theirs).toFixed(3)}`);
    console.log(`# ${name}: ${told.join(", ")}`);
    for (const [kind, { ours, theirs, all }] of sums)
      assert.ok(
        ratio(ours, theirs) <= ALLOWED || Math.sqrt(ours / all) <= HALF,
        `${kind}: ${ratio(ours, theirs)} of llama.cpp's error`,
      );
  });
}
test("formats that were compared", () => {
  // The copies have the source of ten.
  assert.is(compared, fixturesFrom === "../shared" ? names.length : 10);
});

/** A row of 512 values, about normal. */
function random(seed: number, cols = 512): Float32Array {
  let state = seed;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: cols }, () => (next() + next() + next() - 1.5) / 8);
}

const weights = random(9).map((v) => v * v * 100);

for (const name of names) {
  const format = formats[name];

  test(`${name}: a row's bytes depend on nothing but the row`, () => {
    for (const importance of [undefined, weights]) {
      const rows = [
        random(1),
        new Float32Array(512),
        random(2).map((v) => v * 1e-6),
        random(3),
        random(4).map((v) => v * 50),
      ];
      const together = new Float32Array(5 * 512);
      for (const [i, row] of rows.entries()) together.set(row, i * 512);
      const blocks = shop.encode(format, together, 512, importance);
      const size = blocks.length / 5;
      rows.forEach((row, i) => {
        assert.equal(shop.encode(format, row, 512, importance), blocks.slice(i * size, (i + 1) * size), `row ${i}`);
      });
    }
  });

  test(`${name}: zeros stay zeros, and every row decodes to finite numbers near it`, () => {
    const zeros = new Float32Array(512);
    const decode = (row: Float32Array, importance?: Float32Array) =>
      shop.dequantize(format, shop.encode(format, row, row.length, importance), row.length);
    assert.ok(decode(zeros).every((v) => v === 0));
    const rows: Record<string, Float32Array> = {
      constant: zeros.map(() => 0.3),
      negative: random(5).map((v) => -Math.abs(v) - 0.01),
      alternating: zeros.map((_, i) => (i % 2 ? -0.7 : 0.7)),
      ramp: zeros.map((_, i) => i / 512 - 0.4),
      "one value": zeros.map((_, i) => (i === 77 ? 3 : 0)),
      tiny: random(6).map((v) => v * 1e-7),
      subnormal: random(6).map((v) => v * 1e-39),
      mixed: random(7).map((v, i) => v * 10 ** (-(i % 16) * 3)),
      large: random(8).map((v) => v * 1e5),
    };
    const odd: Record<string, Float32Array> = {
      "that weigh nothing": zeros,
      "one of which weighs": zeros.map((_, i) => (i === 300 ? 5 : 0)),
      "that weigh much": zeros.map(() => 1e30),
      "that are no numbers": zeros.map(() => Number.NaN),
      "that are negative": zeros.map((_, i) => (i % 3) - 1),
    };
    for (const [kind, row] of Object.entries(rows)) {
      for (const [which, importance] of [["", undefined], ...Object.entries(odd)] as [string, Float32Array?][]) {
        const got = decode(row, importance);
        assert.ok(got.every(Number.isFinite), `${kind} ${which}`);
        // No format does worse than zeros would.
        const [error, all] = [squares(row, got), squares(row, zeros)];
        if (!importance) assert.ok(error <= all, `${kind}: ${error} of ${all}`);
      }
    }
  });

  test(`${name}: a row that the format cannot hold is told`, () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const at of [0, 255, 511]) {
        const rows = new Float32Array(4 * 512).fill(0.5);
        rows[2 * 512 + at] = value;
        for (const importance of [undefined, weights])
          assert.throws(() => shop.encode(format, rows, 512, importance), /row 2 /);
      }
    }
    // Most of what f32 has beyond f16's range would need scales that are infinite.
    const huge = new Float32Array(512).fill(2 ** 110);
    if (name === "BF16" || name === "MXFP4") assert.ok(shop.encode(format, huge, 512).length > 0);
    else assert.throws(() => shop.encode(format, huge, 512), /row 0 /);
  });

  if (format.block_values === 32)
    test(`${name}: rows of 32, 96 and 160 values are as those values among others`, () => {
      for (const importance of [undefined, weights]) {
        const row = random(11);
        const all = shop.encode(format, row, 512, importance);
        for (const cols of [32, 96, 160])
          assert.equal(
            shop.encode(format, row.slice(0, cols), cols, importance?.slice(0, cols)),
            all.slice(0, (cols / 32) * format.block_bytes),
          );
      }
    });
}

test.run();
