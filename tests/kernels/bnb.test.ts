// bitsandbytes' formats: decoding and LLM.int8 against the library's values; NF4 and FP4 products against float64; one token
// against many, plain and relaxed, bit for bit.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type BlockFormat, ownFormats, rowBytes } from "../../src/quant/formats.ts";
import { fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { byTiles, byToken, putLast } from "./forms.ts";
import { bits, builds, Kernels } from "./harness.ts";
import { normal } from "./random.ts";

const { BNB_NF4, BNB_FP4, BNB_INT8 } = ownFormats;
const kernels = builds.map((build) => new Kernels(build, 512));

function dequantize(k: Kernels, f: BlockFormat, weights: Uint8Array, count: number): Float32Array {
  k.reset();
  const out = k.alloc(4 * count);
  k.fn[`dequantize_${f.name.toLowerCase()}`](putLast(k, weights), out, count);
  return k.f32(out, count).slice();
}

/** Every form's result, which must be the same bits. */
function everyForm(f: BlockFormat, w: Uint8Array, x: Float32Array, cols: number, threshold?: number): Float32Array {
  const expected = byToken(kernels[0], f, w, x, cols, 0, threshold);
  for (const k of kernels) {
    for (const ahead of [0, 1])
      assert.equal(
        bits(byToken(k, f, w, x, cols, ahead, threshold)),
        bits(expected),
        `${f.name} matvec, ${cols} columns`,
      );
    assert.equal(bits(byTiles(k, f, w, x, cols, 0, 0, threshold)), bits(expected), `${f.name} matmul, ${cols} columns`);
  }
  return expected;
}

/** Blocks of absmax and 32 bytes. */
function blocksOf(packed: Uint8Array, absmax: Float32Array): Uint8Array {
  const blocks = new Uint8Array(36 * absmax.length);
  for (const [b, scale] of absmax.entries()) {
    new DataView(blocks.buffer).setFloat32(36 * b, scale, true);
    blocks.set(packed.subarray(32 * b, 32 * b + 32), 36 * b + 4);
  }
  return blocks;
}

const { tensors: arrays } = safetensors(fixture("fixtures/bnb/blocks.safetensors"));
/** The copies leave out the largest matrix. */
const cases = json("fixtures/bnb/blocks.json").cases.filter(({ source }: any) => source in arrays);

test("blocks of NF4 and FP4 decode to the library's values", () => {
  let compared = 0;
  for (const { name, quant_type, blocksize, double_quant, shape } of cases) {
    if (blocksize !== 64 || double_quant || (shape[0] * shape[1]) % 64 !== 0) continue;
    const f = quant_type === "nf4" ? BNB_NF4 : BNB_FP4;
    const blocks = blocksOf(arrays[`${name}.packed`].data as Uint8Array, arrays[`${name}.absmax`].data as Float32Array);
    const expected = arrays[`${name}.dequantized.float32`].data as Float32Array;
    for (const k of kernels) {
      // -0 and 0 are one value: the library's own decoders differ in the sign of FP4's code 8.
      assert.equal(
        [...dequantize(k, f, blocks, expected.length)].map((v) => v + 0),
        [...expected].map((v) => v + 0),
        name,
      );
    }
    compared++;
  }
  assert.is(compared, fixturesFrom === "../shared" ? 12 : 10);
});

const eps = 2 ** -24;
/** Roundings that a product's error may be, of |x| · |w|: lanes and steps stay within 7 at all widths here. */
const SUMS = 16;

for (const f of [BNB_NF4, BNB_FP4]) {
  test(`${f.name}: products are within 16 roundings of float64, and the same bits in every form`, () => {
    let worst = 0;
    for (const [cols, rows, tokens] of [
      [64, 1, 1],
      [64, 5, 3],
      [128, 9, 4],
      [192, 6, 5],
      [4096, 35, 9],
      [14336, 6, 2],
    ]) {
      const count = (rows * cols) / 64;
      const codes = new Uint8Array(32 * count).map((_, i) => Math.imul(i + cols, 2654435761) >>> 24);
      const w = blocksOf(codes, normal(cols, count, 0.1));
      const x = normal(cols + 1, tokens * cols);
      const values = dequantize(kernels[0], f, w, rows * cols);
      const got = everyForm(f, w, x, cols);
      for (let t = 0; t < tokens; t++)
        for (let r = 0; r < rows; r++) {
          let [sum, size] = [0, 0];
          for (let c = 0; c < cols; c++) {
            const product = values[r * cols + c] * x[t * cols + c];
            sum += product;
            size += Math.abs(product);
          }
          const error = Math.abs(got[t * rows + r] - sum);
          assert.ok(error <= SUMS * eps * size, `${rows}x${cols}, token ${t}, row ${r}: off by ${error}`);
          worst = Math.max(worst, error / (eps * size));
        }
    }
    console.log(`# ${f.name}: largest error ${worst.toFixed(2)} · 2^-24 · |x|·|w|`);
  });
}

const { tensors: int8 } = safetensors(fixture("fixtures/bnb/int8.safetensors"));
const { products, activations } = json("fixtures/bnb/int8.json");
const of = (name: string) => int8[name].data as Float32Array;

/** Rows of a scale and codes. */
function int8Rows(codes: Uint8Array, scales: Float32Array): Uint8Array {
  const cols = codes.length / scales.length;
  const rows = new Uint8Array(rowBytes(BNB_INT8, cols) * scales.length);
  for (const [r, scale] of scales.entries()) {
    new DataView(rows.buffer).setFloat32(r * (4 + cols), scale, true);
    rows.set(codes.subarray(r * cols, (r + 1) * cols), r * (4 + cols) + 4);
  }
  return rows;
}
const weights = Object.fromEntries(
  ["gaussian", "heavy", "flat"].map((name) => [
    name,
    int8Rows(int8[`w.${name}.CB`].data as Uint8Array, of(`w.${name}.SCB`)),
  ]),
);

test("rows of int8 decode to the library's values", () => {
  for (const [name, rows] of Object.entries(weights)) {
    const scales = of(`w.${name}.SCB`);
    const expected = of(`w.${name}.dequantized`);
    const cols = expected.length / scales.length;
    for (const k of kernels)
      for (const r of scales.keys()) {
        const row = dequantize(k, BNB_INT8, rows.subarray(r * (4 + cols), (r + 1) * (4 + cols)), cols);
        assert.equal(bits(row), bits(expected.subarray(r * cols, (r + 1) * cols)), `${name}, row ${r}`);
      }
  }
});

test("LLM.int8 products are the library's, where no other row takes a column out", () => {
  let [exact, within, apart] = [0, 0, 0];
  for (const { name, weight, activation, threshold, dtype } of products) {
    if (dtype !== "float32") continue;
    const x = of(`x.${activation}`);
    const cols = int8[`x.${activation}`].shape[1];
    const expected = of(name);
    const got = everyForm(BNB_INT8, weights[weight], x, cols, threshold);
    const rows = expected.length / (x.length / cols);
    const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const scales = of(`w.${weight}.SCB`);
    const codes = int8[`w.${weight}.CB`].data as Uint8Array;
    const taken: number[] = activations.find(
      (each: any) => each.activation === activation && each.threshold === threshold,
    ).outlier_columns;
    for (let t = 0; t < x.length / cols; t++) {
      // Columns that other rows take out, and this one keeps.
      const kept = taken.filter((c) => Math.abs(x[t * cols + c]) < threshold);
      for (let r = 0; r < rows; r++) {
        const [a, b] = [got[t * rows + r], expected[t * rows + r]];
        // A kept value is rounded to f16, and then to a step of its row's largest / 127.
        const step = of(`x.${activation}.SCA.${threshold.toFixed(1)}`)[t] / 127;
        const allowed = kept.reduce((sum, c) => {
          const w = Math.abs(((codes[r * cols + c] << 24) >> 24) * scales[r]) / 127;
          return sum + w * (step / 2 + Math.abs(x[t * cols + c]) * 2 ** -11);
        }, 1e-6 * largest);
        assert.ok(Math.abs(a - b) <= allowed, `${name}, token ${t}, row ${r}: ${a}, expected ${b} within ${allowed}`);
        if (kept.length) apart++;
        else if (a === b) exact++;
        else within++;
      }
    }
  }
  console.log(
    `# LLM.int8: ${exact} values equal, ${within} within 1e-6 of the largest, ${apart} of rows that keep a column`,
  );
  assert.ok(exact > 1000 && apart > 0);
});

test("LLM.int8: every width and number of rows and tokens, against integers", () => {
  for (const [cols, rows, tokens] of [
    [1, 1, 1],
    [7, 3, 4],
    [16, 2, 5],
    [33, 5, 2],
    [130, 9, 9],
    [2200, 35, 6],
  ]) {
    const codes = new Uint8Array(rows * cols).map((_, i) => (Math.imul(i + cols, 2654435761) >>> 24) | 1);
    const w = int8Rows(codes, normal(rows, rows).map(Math.abs));
    const x = normal(cols, tokens * cols, 2);
    x.fill(0, cols * (tokens - 1)); // a row of zeros
    const got = everyForm(BNB_INT8, w, x, cols, 5);
    assert.ok(got.subarray((tokens - 1) * rows).every((v) => v === 0));
    // A token alone is what it is beside others.
    for (let t = 0; t < tokens; t++)
      assert.equal(
        bits(byToken(kernels[1], BNB_INT8, w, x.subarray(t * cols, (t + 1) * cols), cols, 0, 5)),
        bits(got.subarray(t * rows, (t + 1) * rows)),
      );
  }
});

test("LLM.int8: a NaN makes its own row NaN, an infinity is an outlier, or without a threshold NaN", () => {
  const [cols, rows] = [40, 3];
  const w = int8Rows(new Uint8Array(rows * cols).fill(5), Float32Array.of(1, 2, 3));
  const x = normal(1, 3 * cols);
  x[7] = Number.NaN;
  x[cols + 9] = Number.POSITIVE_INFINITY;
  for (const threshold of [0, 6]) {
    const got = everyForm(BNB_INT8, w, x, cols, threshold);
    assert.ok(got.subarray(0, rows).every(Number.isNaN));
    assert.ok(got.subarray(rows, 2 * rows).every((v) => (threshold ? v === Infinity : Number.isNaN(v))));
    assert.ok(got.subarray(2 * rows).every(Number.isFinite));
  }
});

test.run();
