// Quantized products and dequantization: against the GGUF fixtures, against the readable twin bit for bit, and every
// form (one token, many tokens; plain, relaxed; as files have it, repacked) against the others bit for bit.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { dots } from "../../src/kernels/abi.ts";
import { type BlockFormat, formats, ownFormats, repackedFormats, rowBytes } from "../../src/quant/formats.ts";
import { fixture, fixturesFrom, hasFixture, safetensors } from "../fixtures.ts";
import { power, setScale } from "../quant/scales.ts";
import { byTiles, byToken, pack, putLast } from "./forms.ts";
import { type Build, bits, builds, Kernels } from "./harness.ts";
import { decodeRow, makeRows, NEGLIGIBLE, product, quantize, random } from "./twin.ts";

const inFiles = Object.values(formats).filter((f) => f.quantized);
/** Of GPTQ, AWQ and compressed-tensors: their values are compared with the libraries' in tests/model/grouped.test.ts. */
const grouped = [ownFormats.INT4_32, ownFormats.INT4_128, ownFormats.INT8_32, ownFormats.INT8_128];
const quantized: BlockFormat[] = [...inFiles, ...Object.values(repackedFormats), ...grouped];
const kernels = Object.fromEntries(builds.map((b) => [b, new Kernels(b)])) as Record<Build, Kernels>;
const SENTINEL = 0xdeadbeef;
/** The i32 dot in Node 20, where relaxed SIMD was experimental; the engine does not use it there. */
const miscompiled = Number.parseInt(process.versions.node, 10) < 22;

/** Fails with the first place where two arrays of floats differ in their bits. */
function sameBits(actual: Float32Array, expected: Float32Array, what: string): void {
  const a = bits(actual);
  const b = bits(expected);
  assert.is(a.length, b.length, what);
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) assert.unreachable(`${what}: element ${i} is ${actual[i]}, expected ${expected[i]}`);
  }
}

/** All forms, which must agree; returns one. */
function everyForm(f: BlockFormat, w: Uint8Array, x: Float32Array, cols: number, what: string): Float32Array {
  const reference = byToken(kernels.simd, f, w, x, cols);
  for (const build of builds) {
    for (const read_ahead of [0, 1]) {
      const by_token = byToken(kernels[build], f, w, x, cols, read_ahead);
      sameBits(by_token, reference, `${what}, ${build} matvec, read_ahead ${read_ahead}, and plain matvec`);
      for (const [name, dot] of Object.entries(dots)) {
        if (miscompiled && dot === dots.i32) continue;
        const tiled = byTiles(kernels[build], f, w, x, cols, dot, read_ahead);
        sameBits(tiled, reference, `${what}, ${build} matmul, ${name} dot, read_ahead ${read_ahead}, and plain matvec`);
      }
    }
  }
  return reference;
}

function byTwin(f: BlockFormat, w: Uint8Array, x: Float32Array, cols: number): Float32Array {
  const bytes = rowBytes(f, cols);
  const rows = Array.from({ length: w.length / bytes }, (_, r) => decodeRow(f, w.subarray(r * bytes, (r + 1) * bytes)));
  const tokens = Array.from({ length: x.length / cols }, (_, t) => quantize(x.subarray(t * cols, (t + 1) * cols)));
  return Float32Array.from(tokens.flatMap((token) => rows.map((row) => product(row, token))));
}

/** Blocks as a format's file has them, in the order that the format has in memory: the same from both builds. */
function reordered(f: BlockFormat, file: BlockFormat, bytes: Uint8Array): Uint8Array {
  if (f === file) return bytes;
  const [plain, ...others] = builds.map((build) => {
    const k = kernels[build];
    k.reset();
    const at = putLast(k, bytes);
    k.fn[`repack_${file.name.toLowerCase()}`](at, bytes.length);
    return k.u8(at, bytes.length).slice();
  });
  for (const other of others) assert.equal(other, plain);
  return plain;
}

const sets = [
  ["packed", "dequantized", "y", "y_abs"],
  ["random_bytes", "random_dequantized", "random_y", "random_y_abs"],
];
let compared = 0;

/** Dequantization and products of a format, of a file of blocks of what it is in files. */
function againstFixtures(f: BlockFormat, file: BlockFormat, name: string): void {
  const { tensors } = safetensors(fixture(name));
  const found = sets.filter(([, dequantized]) => dequantized in tensors);
  assert.is(found.length, fixturesFrom === "../shared" || name.includes("/gguf/") ? 2 : 1, name);
  compared++;

  test(`${f.name}: dequantization equals ${name} bit for bit`, () => {
    for (const build of builds) {
      const k = kernels[build];
      for (const [packed, expected] of found) {
        const bytes = reordered(f, file, tensors[packed].data as Uint8Array);
        k.reset();
        const values = tensors[expected].data as Float32Array;
        const out = k.alloc(4 * values.length + 4);
        k.u32(out, values.length + 1)[values.length] = SENTINEL;
        k.fn[`dequantize_${f.name.toLowerCase()}`](putLast(k, bytes), out, values.length);
        sameBits(k.f32(out, values.length), values, `${build} ${packed}`);
        assert.is(k.u32(out, values.length + 1)[values.length], SENTINEL);
        // One block alone.
        k.fn[`dequantize_${f.name.toLowerCase()}`](putLast(k, bytes.subarray(0, f.block_bytes)), out, f.block_values);
        sameBits(k.f32(out, f.block_values), values.subarray(0, f.block_values), `${build} ${packed}, one block`);
      }
    }
  });

  test(`${f.name}: products agree with those of ${name} within the stated tolerance`, () => {
    const x = tensors["x"].data as Float32Array;
    const [tokens, cols] = tensors["x"].shape;
    let worst = 0;
    for (const [packed, dequantized, y, yAbs] of found) {
      const w = tensors[dequantized].data as Float32Array;
      const expected = tensors[y].data as Float32Array;
      const magnitude = tensors[yAbs].data as Float32Array;
      const rows = w.length / cols;
      const actual = everyForm(f, reordered(f, file, tensors[packed].data as Uint8Array), x, cols, packed);
      for (let t = 0; t < tokens; t++) {
        for (let r = 0; r < rows; r++) {
          let allowed = cols * 2 ** -24 * magnitude[t * rows + r];
          for (let c = 0; c < cols; c += 32) {
            let amax = 0;
            let weights = 0;
            for (let i = c; i < c + 32; i++) {
              amax = Math.max(amax, Math.abs(x[t * cols + i]));
              weights += Math.abs(w[r * cols + i]);
            }
            // The roundings of 127 / amax and of x times it shift a value by less than 2^-14 of a step.
            allowed += (amax / 254) * weights * (1 + 2 ** -14);
          }
          const difference = Math.abs(actual[t * rows + r] - expected[t * rows + r]);
          assert.ok(difference <= allowed, `${packed} token ${t} row ${r}: off by ${difference}, allowed ${allowed}`);
          if (allowed > 0) worst = Math.max(worst, difference / allowed);
        }
      }
    }
    console.log(
      `# ${f.name}: largest difference from the products of ${name} ${(100 * worst).toFixed(1)} % of the tolerance`,
    );
  });
}

for (const f of quantized) {
  const file = inFiles.find(({ name }) => name === f.name || repackedFormats[name] === f);
  for (const folder of file ? ["gguf", "gguf_iq"] : []) {
    const name = `fixtures/${folder}/blocks/${file!.name}.safetensors`;
    if (hasFixture(name)) againstFixtures(f, file!, name);
  }

  const widths = { 32: [32, 64, 96, 128, 160, 224, 384], 128: [128, 256, 384] }[f.block_values] ?? [256, 512, 768];

  test(`${f.name}: random bytes equal the twin bit for bit, at every odd size`, () => {
    const next = random(f.id);
    const uniform = () => next() / 2 ** 31 - 1;
    for (const cols of widths) {
      for (const [rows, tokens] of [
        [1, 1],
        [2, 3],
        [3, 4],
        [5, 5],
        [7, 9],
      ]) {
        // Any finite f16: the exponent 31 is infinity and NaN.
        const w = makeRows(
          f,
          cols,
          rows,
          () => next() & 255,
          () => (next() % 0x7c00) | (next() & 0x8000),
        );
        const x = new Float32Array(tokens * cols).map(() => uniform() * 4 ** (uniform() * 4));
        const what = `${rows} rows of ${cols}, ${tokens} tokens`;
        sameBits(everyForm(f, w, x, cols, what), byTwin(f, w, x, cols), `${what}, kernels and twin`);
      }
    }
  });

  test(`${f.name}: extremes equal the twin bit for bit`, () => {
    const cols = widths.at(-1)!;
    const one = 0x3c00;
    const sign = (i: number) => (i & 1 ? 1 : -1);
    const activations: Record<string, (i: number) => number> = {
      "all 1": () => 1,
      "all -1": () => -1,
      alternating: sign,
      "all zero": () => 0,
      tiny: (i) => sign(i) * 2 ** -140,
      "least that counts": (i) => sign(i) * NEGLIGIBLE,
      "largest that does not": (i) => sign(i) * NEGLIGIBLE * (1 - 2 ** -24),
      ties: (i) => (i % 32 === 0 ? 127 : (i % 32) + 0.5),
      huge: (i) => sign(i >> 2) * 2 ** 100,
    };
    for (const byte of [0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0]) {
      for (const scale of [one, one | 0x8000, 0x0001, 0x8000, 0x7bff]) {
        const w = makeRows(
          f,
          cols,
          2,
          () => byte,
          () => scale,
        );
        for (const [name, value] of Object.entries(activations)) {
          const x = new Float32Array(cols).map((_, i) => value(i));
          const what = `bytes ${byte}, scale bits ${scale}, activations ${name}`;
          sameBits(everyForm(f, w, x, cols, what), byTwin(f, w, x, cols), `${what}, kernels and twin`);
        }
      }
    }
  });

  test(`${f.name}: more rows than a panel, more columns than two segments of a tile`, () => {
    const next = random(f.id + 100);
    const cols = 4352;
    const w = makeRows(
      f,
      cols,
      101,
      () => next() & 255,
      () => 0x1000 + (next() % 0x2000),
    );
    const x = new Float32Array(6 * cols).map(() => next() / 2 ** 31 - 1);
    const all = everyForm(f, w, x, cols, "101 rows");
    // A row's bits do not depend on the others of the call.
    const bytes = rowBytes(f, cols);
    const last = everyForm(f, w.subarray(100 * bytes), x, cols, "the last row");
    for (let t = 0; t < 6; t++) assert.is(all[t * 101 + 100], last[t]);
  });
}

// Ten formats and two repacked; twelve below 4.5 bits, of which IQ4_NL and IQ4_XS are in both folders of the full sets.
assert.is(compared, fixturesFrom === "../shared" ? 26 : 24);

test("the column `scales` names all that a block's values are multiplied by", () => {
  const k = kernels.simd;
  for (const f of inFiles) {
    const values = (scale: (member: number) => number): Float32Array => {
      k.reset();
      const block = new Uint8Array(f.block_bytes).fill(0xff);
      for (const [member, at] of f.scales.entries()) setScale(f.scale_type, block, at, scale(member));
      const out = k.alloc(4 * f.block_values);
      k.fn[`dequantize_${f.name.toLowerCase()}`](k.put(block), out, f.block_values);
      return k.f32(out, f.block_values).slice();
    };
    const one = 0x3c00;
    // The least exponent is no zero.
    const none = f.scale_type === "exponent" ? 12 * power(0) : 0;
    assert.ok(
      values(() => 0).every((v) => Math.abs(v) <= none),
      `${f.name}: something else has a part in it`,
    );
    for (const member of f.scales.keys())
      assert.ok(
        values((m) => (m === member ? one : 0)).every((v) => Math.abs(v) > none),
        `${f.name}: scale ${member} has none`,
      );
  }
});

test("what is packed has no subnormal scales and sums, whatever the activations", () => {
  const next = random(7);
  const [cols, tokens] = [256, 300];
  // Two blocks of one size in each group, so that a negligible one stands beside another.
  const x = new Float32Array(tokens * cols).map((_, i) => (next() / 2 ** 31 - 1) * 2 ** -(Math.floor(i / 64) % 150));
  for (const build of builds) {
    const k = kernels[build];
    for (const f of quantized) {
      for (const [kind, lanes] of [
        [k.fn.vec_kind(f.id), 1],
        [k.fn.tile_kind(f.id), 4],
      ]) {
        k.reset();
        const packed = pack(k, kind, x, cols, lanes);
        const group = k.fn.packed_bytes(kind, 128, lanes);
        let zeros = 0;
        for (let at = 0; at < k.fn.packed_bytes(kind, cols, tokens); at += group) {
          for (let lane = 0; lane < lanes; lane++) {
            // Each token's scale and sum of four blocks begin its six vectors at the group's end (GroupSums).
            for (const value of k.f32(packed + at + group - 96 * (lanes - lane), 8)) {
              assert.ok(value === 0 || Math.abs(value) >= NEGLIGIBLE / 128, `${f.name} ${build}: ${value}`);
              if (value === 0) zeros++;
            }
          }
        }
        assert.ok(zeros > (tokens * cols) / 64 / 2, "many blocks are negligible");
      }
    }
  }
});

test("columns in an order of their own are packed as rows that have them in that order", () => {
  const next = random(11);
  for (const cols of [32, 160, 384]) {
    const order = Array.from({ length: cols }, (_, i) => i);
    for (let i = cols - 1; i > 0; i--) {
      const j = next() % (i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const x = new Float32Array(6 * cols).map(() => next() / 2 ** 31 - 1);
    const gathered = x.map((_, at) => x[at - (at % cols) + order[at % cols]]);
    for (const build of builds) {
      const k = kernels[build];
      const kinds = new Map(
        quantized.flatMap(({ id }): [number, number][] => [
          [k.fn.vec_kind(id), 1],
          [k.fn.tile_kind(id), 4],
        ]),
      );
      for (const [kind, grain] of kinds) {
        const packed = (values: Float32Array, places: readonly number[]) => {
          k.reset();
          return k.u8(pack(k, kind, values, cols, grain, undefined, places), k.fn.packed_bytes(kind, cols, 6)).slice();
        };
        assert.equal(packed(x, order), packed(gathered, []), `${build}, kind ${kind}, ${cols} columns`);
      }
    }
  }
});

test("NaN in the activations reaches the result", () => {
  for (const f of quantized) {
    const w = makeRows(
      f,
      256,
      1,
      () => 0x35,
      () => 0x3c00,
    );
    const x = new Float32Array(256).fill(1);
    x[77] = Number.NaN;
    for (const build of builds) assert.ok(Number.isNaN(byToken(kernels[build], f, w, x, 256)[0]), `${f.name} ${build}`);
  }
});

test("the probe's dots are the same in both builds and right", () => {
  const next = random(1);
  const a = new Uint8Array(16).map(() => next() & 255);
  const b = new Uint8Array(16).map(() => next() & 127);
  a.set([128, 128, 127, 127]);
  b.set([127, 127, 127, 127]);
  const pair = (i: number) => ((a[i] << 24) >> 24) * b[i] + ((a[i + 1] << 24) >> 24) * b[i + 1];
  const expected = [0, 4, 8, 12].map((i) => pair(i) + pair(i + 2)).concat([0, 2, 4, 6, 8, 10, 12, 14].map(pair));
  for (const build of builds) {
    const k = kernels[build];
    k.reset();
    const out = k.alloc(48);
    k.fn.probe_dot(k.put(a), k.put(b), out);
    assert.equal(Array.from(k.i32(out, 12)), expected, build);
  }
});

test.run();
