// bitsandbytes' matrices as the converting threads make them, against the library's bytes and values: its checkpoints'
// tensors put together, and weights quantized anew, whole and a row at a time.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PostedMatrix } from "../../src/convert/job.ts";
import { makerOf } from "../../src/convert/makers.ts";
import type { SyncFile } from "../../src/platform/platform.ts";
import { type BlockFormat, formats, ownFormats, rowBytes } from "../../src/quant/formats.ts";
import { fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { Shop } from "./shop.ts";

const shop = new Shop();
const { tensors } = safetensors(fixture("fixtures/bnb/blocks.safetensors"));
/** The copies leave out the largest matrix. */
const cases = json("fixtures/bnb/blocks.json").cases.filter(({ source }: any) => source in tensors);
const full = fixturesFrom === "../shared";
const floats = (name: string) => tensors[name].data as Float32Array;
const bytes = (name: string) => tensors[name].data as Uint8Array;
const raw = (data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Files of some arrays, and a recipe that is made of them. */
function posted(recipe: object, arrays: (Float32Array | Uint8Array)[], shape: [number, number], format: BlockFormat) {
  const files = arrays.map((array): SyncFile => {
    const all = raw(array);
    return {
      read(offset, target) {
        assert.ok(offset >= 0 && offset + target.length <= all.length, "reads within the part");
        target.set(all.subarray(offset, offset + target.length));
      },
      close() {},
    } as SyncFile;
  });
  const parts = arrays.map((array, file) => ({ file, offset: 0, bytes: array.byteLength }));
  const [rows, cols] = shape;
  return { files, matrix: { name: "m", rows, cols, format, recipe: { ...recipe, parts } } as unknown as PostedMatrix };
}

/** What a maker makes of all rows, some at a time; it must keep to the room that it says. */
function make({ files, matrix }: ReturnType<typeof posted>, at_once?: number): Uint8Array {
  const maker = makerOf(matrix.recipe);
  const step = at_once ?? maker.rows(matrix as never);
  const row = rowBytes(matrix.format, matrix.cols);
  const out = new Uint8Array(matrix.rows * row);
  shop.use(files);
  for (let from = 0; from < matrix.rows; from += step) {
    const to = Math.min(from + step, matrix.rows);
    shop.clear();
    const start = shop.take(0);
    const at = maker.make(shop, matrix, from, to);
    out.set(shop.bytes.subarray(at, at + (to - from) * row), from * row);
    const used = shop.take(0) - start;
    assert.ok(used <= maker.bytes(matrix as never), `${used} bytes used, of ${maker.bytes(matrix as never)}`);
  }
  return out;
}

const asFloats = (made: Uint8Array) => new Float32Array(made.slice().buffer);
/** -0 and 0 are one value: the library's own decoders differ in the sign of FP4's code 8. */
const values = (list: Float32Array) => [...list].map((v) => v + 0);
const absmaxOf = (blocks: Uint8Array) =>
  Float32Array.from({ length: blocks.length / 36 }, (_, b) => new DataView(blocks.buffer).getFloat32(36 * b, true));
const codesOf = (blocks: Uint8Array) => blocks.filter((_, i) => i % 36 >= 4);
const formatOf = (type: string, cols: number, blocksize = 64) => {
  if (cols % 64 || blocksize % 64) return formats.F32;
  return type === "nf4" ? ownFormats.BNB_NF4 : ownFormats.BNB_FP4;
};

test("checkpoints' tensors give the library's values: every block size, scales quantized or not", () => {
  for (const { name, quant_type, blocksize, double_quant, shape, nested_offset } of cases) {
    const parts = [bytes(`${name}.packed`), tensors[`${name}.absmax`].data as Float32Array];
    if (double_quant) parts.push(floats(`${name}.nested_absmax`), floats("nested_quant_map"));
    const nested = double_quant ? { blocksize: 256, offset: Math.fround(nested_offset) } : undefined;
    const recipe = { maker: "bnb_4bit", blocksize, map: [...floats(`quant_map.${quant_type}`)], nested };
    const expected = values(floats(`${name}.dequantized.float32`));
    for (const at_once of [undefined, 1, 3]) {
      const plain = posted(recipe, parts, shape, formats.F32);
      assert.equal(values(asFloats(make(plain, at_once))), expected, name);
      const format = formatOf(quant_type, shape[1]);
      if (format === formats.F32) continue;
      const blocks = make(posted(recipe, parts, shape, format), at_once);
      assert.equal(values(shop.dequantize(format, blocks, expected.length)), expected, name);
    }
  }
  assert.is(cases.length, full ? 36 : 30);
});

test("another storage type has the same bytes", () => {
  let compared = 0;
  for (const name of Object.keys(tensors).filter((each) => each.endsWith(".packed_as_bfloat16"))) {
    assert.equal(raw(tensors[name].data), raw(tensors[name.replace("_as_bfloat16", "")].data), name);
    compared++;
  }
  assert.is(compared, 2);
});

test("weights quantized anew have the library's bytes", () => {
  let compared = 0;
  for (const { name, source, quant_type: type, blocksize, double_quant, shape, nested_offset } of cases) {
    if (blocksize !== 64) continue;
    const format = formatOf(type, shape[1]);
    const recipe = { maker: "bnb_encode", from: formats.F32, type, double: double_quant };
    const matrix = posted(recipe, [floats(source)], shape, format);
    const made = make(matrix);
    if (!double_quant) for (const at_once of [1, 3]) assert.equal(make(matrix, at_once), made, name);
    if (format === formats.F32) {
      assert.equal(values(asFloats(made)), values(floats(`${name}.dequantized.float32`)), name);
    } else {
      assert.equal(codesOf(made), bytes(`${name}.packed`), name);
      if (!double_quant) assert.equal([...absmaxOf(made)], [...floats(`${name}.absmax`)], name);
    }
    if (double_quant) {
      // The mean is a sum in another order.
      const absmax = floats(`${name.replace(".double", "")}.absmax`);
      shop.clear();
      const [scales, codes, nested, map] = [4 * absmax.length, absmax.length, 64, 1024].map((size) => shop.take(size));
      shop.floats(scales, absmax.length).set(absmax);
      const offset = shop.converters.bnb.quantize_scales(scales, absmax.length, codes, nested, map);
      assert.ok(Math.abs(offset - nested_offset) <= 1e-6 * Math.abs(nested_offset), name);
      assert.equal(shop.bytes.slice(codes, codes + absmax.length), bytes(`${name}.absmax`), name);
      assert.equal([...shop.floats(map, 256)], [...floats("nested_quant_map")]);
    }
    compared++;
  }
  assert.is(compared, full ? 30 : 26);
});

const { tensors: int8 } = safetensors(fixture("fixtures/bnb/int8.safetensors"));

test("int8: weights quantized anew and checkpoints' tensors have the library's bytes", () => {
  for (const name of ["gaussian", "heavy", "flat"]) {
    const of = (kind: string) => int8[`w.${name}${kind}`];
    const [rows, cols] = of("").shape;
    const weights = of("").data as Float32Array;
    const [codes, scales] = [of(".CB").data as Uint8Array, of(".SCB").data as Float32Array];
    const recipe = { maker: "bnb_encode", from: formats.F32, type: "int8", double: false };
    for (const at_once of [undefined, 1, 3]) {
      const made = make(posted(recipe, [weights], [rows, cols], ownFormats.BNB_INT8), at_once);
      const read = make(posted({ maker: "bnb_int8" }, [codes, scales], [rows, cols], ownFormats.BNB_INT8), at_once);
      for (let r = 0; r < rows; r++) {
        const row = made.subarray(r * (4 + cols), (r + 1) * (4 + cols));
        assert.is(new DataView(row.buffer, row.byteOffset).getFloat32(0, true), scales[r], `${name}, row ${r}`);
        assert.equal(row.slice(4), codes.slice(r * cols, (r + 1) * cols), `${name}, row ${r}`);
      }
      assert.equal(read, made, name);
    }
  }
});

test("what is no finite number is not quantized", () => {
  const weights = new Float32Array(3 * 64).fill(1);
  for (const [type, odd] of [
    ["nf4", Number.NaN],
    ["fp4", -Infinity],
    ["int8", Number.NaN],
    ["int8", 70000],
  ] as const) {
    weights[70] = odd;
    const recipe = { maker: "bnb_encode", from: formats.F32, type, double: false };
    const format = type === "int8" ? ownFormats.BNB_INT8 : formatOf(type, 64);
    assert.throws(
      () => make(posted(recipe, [weights], [3, 64], format)),
      /m: expected .* found others in or behind row [01]/,
    );
  }
});

test.run();
