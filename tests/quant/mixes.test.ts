// Which format each tensor gets in each file type: every tensor of seven shapes as llama-quantize has it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { FormatName } from "../../src/quant/formats.ts";
import {
  type FileType,
  fileTypeOf,
  fileTypes,
  fitting,
  formatIn,
  type MixShape,
  needsImportance,
  type TensorKind,
} from "../../src/quant/mixes.ts";
import { hasFixture, json } from "../fixtures.ts";

type Types = FormatName | Readonly<Record<string, readonly number[]>>;

interface Mixes {
  readonly shape: {
    hidden: number;
    ffn: number;
    layers: number;
    heads: number;
    kv_heads: number;
    experts: number;
    tied: boolean;
    source: FormatName;
  };
  readonly types: Record<string, { mix: Record<string, Types>; with_imatrix?: { mix: Record<string, Types> } }>;
}

const kindOf = (name: string): TensorKind => name.replace("_exps", "") as TensorKind;

function compare(type: FileType, shape: Mixes["shape"], mix: Record<string, Types>, imatrix: boolean): number {
  const model: MixShape = shape;
  let seen = 0;
  for (const [name, types] of Object.entries(mix)) {
    const kind = kindOf(name);
    const cols = kind === "ffn_down" ? shape.ffn : shape.hidden;
    const layers = kind === "output" || kind === "token_embd" ? 1 : shape.layers;
    for (let layer = 0; layer < layers; layer++) {
      const expected =
        typeof types === "string" ? types : Object.entries(types).find(([, list]) => list.includes(layer))![0];
      const found = fitting(formatIn(type, { kind, layer, cols }, model, imatrix), cols);
      assert.is(found, expected, `${type.name}, imatrix ${imatrix}: ${name} of layer ${layer}`);
      seen++;
    }
  }
  return seen;
}

test("every tensor of every file type is llama-quantize's", () => {
  if (!hasFixture("fixtures/quantize/mix.json")) return;
  let seen = 0;
  for (const [name, { shape, types }] of Object.entries(json("fixtures/quantize/mix.json") as Record<string, Mixes>)) {
    for (const [type_name, { mix, with_imatrix }] of Object.entries(types)) {
      const type = fileTypeOf(type_name);
      assert.ok(type, `${name}: ${type_name}`);
      if (type.name !== "F32") seen += compare(type, shape, mix, false);
      if (with_imatrix) seen += compare(type, shape, { ...mix, ...with_imatrix.mix }, true);
      else if (type.name !== "F32") seen += compare(type, shape, mix, true);
    }
  }
  assert.ok(seen > 50_000, `${seen}`);
  console.log(`# ${seen} tensors`);
});

test("names in any case, numbers, and names of before", () => {
  assert.is(fileTypeOf("q4_k_m")?.id, 15);
  assert.is(fileTypeOf("15")?.name, "Q4_K_M");
  assert.is(fileTypeOf("Q4_K")?.name, "Q4_K_M");
  assert.is(fileTypeOf("q9_0"), undefined);
  assert.is(new Set(fileTypes.map(({ id }) => id)).size, fileTypes.length);
  assert.is(needsImportance("IQ2_S", "ffn_up"), true);
  assert.is(needsImportance("IQ3_S", "ffn_up"), false);
});

test.run();
