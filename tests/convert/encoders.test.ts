// The encoders of every format beside llama.cpp's: the same bytes where its are defined by a formula, elsewhere an error
// that is at most 1.02 of its, on each tensor of two models, with an importance matrix and without. These models are not
// among the copies of a lone clone; there, blocks.test.ts makes the comparison on fewer rows.
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FormatName, formats } from "../../src/quant/formats.ts";
import { hasFixture } from "../fixtures.ts";
import { Shop } from "./shop.ts";
import { type Entry, errorsOf, readErrors, readSource, type SourceTensor } from "./truth.ts";

/** What an error may be of llama.cpp's: the fixtures' README asks for it. */
const ALLOWED = 1.02;

const shop = new Shop();

function encode(format: FormatName, { cols, experts, values, importance }: SourceTensor, weigh: boolean): Uint8Array {
  const size = values.length / experts;
  const parts = Array.from({ length: experts }, (_, e) =>
    shop.encode(
      formats[format],
      values.subarray(e * size, (e + 1) * size),
      cols,
      weigh ? importance?.subarray(e * cols, (e + 1) * cols) : undefined,
    ),
  );
  return Uint8Array.from(Buffer.concat(parts));
}

/** Not where nothing was compared: llama.cpp has no such tensor without importance. */
const told = (ratio: number): string => (ratio ? ratio.toFixed(4) : "–");

const there = hasFixture("fixtures/quantize");
if (!there) console.log("# fixtures/quantize is not there: no tensor is compared");
const errors = there ? readErrors() : {};

test("errors are weighted by importance scaled to a mean of one in each expert", () => {
  // Two experts of one row: the first is off by 3 where it weighs 1.5 of its mean, the second by 4 where it weighs 0.
  const tensor: SourceTensor = {
    cols: 2,
    experts: 2,
    values: Float32Array.of(1, 2, 3, 4),
    importance: Float32Array.of(30, 10, 0, 5),
  };
  const { rmse, weighted } = errorsOf(tensor, Float32Array.of(4, 2, 7, 4));
  assert.is(rmse, Math.sqrt((9 + 16) / 4));
  assert.is(weighted, Math.sqrt((1.5 * 9) / 4));
});

for (const source of Object.keys(errors)) {
  const tensors = await readSource(source, shop);
  const kinds = new Set(Object.values(errors[source]).flatMap((types) => Object.keys(types)));
  kinds.delete("F32");
  test(`${source}: every format that has an encoder is compared`, () => {
    assert.equal(
      [...kinds].sort(),
      Object.keys(formats)
        .filter((name) => name !== "F32")
        .sort(),
    );
  });
  for (const kind of kinds) {
    const format = kind as FormatName;
    test(`${source}, ${format}`, () => {
      const worst = { none: 0, imatrix: 0 };
      let equal = 0;
      let seen = 0;
      for (const [name, types] of Object.entries(errors[source])) {
        for (const [way, entry] of Object.entries(types[format] ?? {}) as ["none" | "imatrix", Entry][]) {
          const tensor = tensors.get(name)!;
          const blocks = encode(format, tensor, way === "imatrix");
          const hash = createHash("sha256").update(blocks).digest("hex");
          const got = shop.dequantize(formats[format], blocks, tensor.values.length);
          const { rmse, weighted } = errorsOf(tensor, got);
          const [ours, theirs] = way === "imatrix" && entry[1] !== null ? [weighted!, entry[1]] : [rmse, entry[0]];
          seen++;
          if (hash.startsWith(entry[3])) equal++;
          else if (entry[3].length === 64 && way === "none")
            assert.unreachable(`${name}: the bytes differ from llama.cpp's`);
          const ratio = theirs === 0 ? (ours === 0 ? 1 : Infinity) : ours / theirs;
          worst[way] = Math.max(worst[way], ratio);
        }
      }
      console.log(
        `# ${source} ${format}: ${equal} of ${seen} equal; worst ratio ${told(worst.none)}, with importance ${told(worst.imatrix)}`,
      );
      assert.ok(worst.none <= ALLOWED && worst.imatrix <= ALLOWED, JSON.stringify(worst));
    });
  }
}

test.run();
