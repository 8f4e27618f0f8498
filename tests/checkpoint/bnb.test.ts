// bitsandbytes' checkpoints that are damaged: each is refused by the name of the tensor and what is wrong with it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { bind, headOf } from "../../src/weights/bind.ts";
import { memoryFiles } from "../repositories.ts";
import { bnbConfig, bnbFile, bnbTensors, int8, nf4, type SmallTensor, state, stateName, text } from "./bnb_small.ts";
import { outcome } from "./outcome.ts";

type Tensors = Record<string, SmallTensor>;
const files = (tensors: Tensors, config: object = bnbConfig) =>
  memoryFiles({ "config.json": JSON.stringify(config), "model.safetensors": bnbFile(tensors) });

/** What opening says of the small checkpoint with something changed. */
function spoiled(change: (tensors: Tensors) => void): Promise<string | null> {
  const tensors = bnbTensors();
  change(tensors);
  return outcome(files(tensors));
}
const withState = (changes: object) =>
  spoiled((tensors) => {
    const bytes = text({ ...state, ...changes });
    tensors[stateName] = { dtype: "U8", shape: [bytes.length], bytes };
  });
const resized = (name: string, dtype: string, bytes: number) =>
  spoiled((tensors) => void (tensors[name] = { dtype, shape: [bytes], bytes: new Uint8Array(bytes) }));

test("the small checkpoint is right: what it is made of, and no byte of its weights read", async () => {
  const repository = files(bnbTensors());
  const checkpoint = await openCheckpoint(repository);
  const { layers } = bind(checkpoint, headOf(checkpoint));
  const { w1 } = layers[0].experts[0];
  // Rows of four are no whole blocks: made as the values.
  assert.is(w1.format.name, "F32");
  assert.is(w1.recipe?.maker, "bnb_4bit");
  assert.is(layers[0].q_proj.format.name, "BNB_INT8");
  assert.is(layers[0].q_proj.bytes, 4 * 8);
  await checkpoint.close();
  // The length of the header, the header, and of the data the state, the map of codes and the order of int8.
  const file = bnbFile(bnbTensors());
  const header = Number(new DataView(file.buffer).getBigUint64(0, true));
  assert.is(repository.counts.read, 8 + header + text(state).length + 64 + 1);
});

test("a damaged quant_state is refused", async () => {
  for (const [changes, message] of [
    [{ quant_type: "fp4" }, /quant_type: expected "nf4", found "fp4"/],
    [{ quant_type: 4 }, /quant_type: expected "nf4", found 4/],
    [{ blocksize: 0 }, /blocksize: expected a power of two up to 65536, found 0/],
    [{ blocksize: 48 }, /blocksize: .* found 48/],
    [{ blocksize: 2 ** 17 }, /blocksize: .* found 131072/],
    [{ blocksize: "64" }, /blocksize: .* found "64"/],
    [{ shape: [3] }, /shape: expected \[rows, columns\], found \[3\]/],
    [{ shape: [3, -4] }, /shape: expected/],
    [{ shape: [2 ** 25, 4] }, /shape: expected/],
    [{ shape: "3, 4" }, /shape: expected/],
    [{ shape: [3, 5] }, /w1\.weight: expected 8 bytes by .*quant_state.* found U8 \[6, 1\]/],
    [{ shape: [4, 3] }, /w1\.weight: expected \[3, 4\], found F32 \[4, 3\]/],
    [{ nested_blocksize: undefined }, /nested_blocksize: expected a power of two/],
    [{ nested_blocksize: 100 }, /nested_blocksize: .* found 100/],
    [{ nested_offset: null }, /nested_offset: expected a number, found null/],
    [{ nested_offset: "0.5" }, /nested_offset: expected a number/],
    // Scales that are not quantized are f32.
    [{ nested_offset: undefined, nested_blocksize: undefined }, /absmax: expected F32, 4 bytes .* found U8 \[1\]/],
  ] as const)
    assert.match(String(await withState(changes)), message, JSON.stringify(changes));
  for (const bytes of [
    new Uint8Array([0xff, 0xfe]),
    text([1]),
    text("nf4"),
    new Uint8Array(0),
    new TextEncoder().encode("{"),
  ]) {
    const message = await spoiled((tensors) => {
      tensors[stateName] = { dtype: "U8", shape: [bytes.length], bytes };
    });
    assert.match(String(message), /bitsandbytes__nf4 in model\.safetensors: expected (JSON|a JSON object)/);
  }
  assert.match(String(await resized(stateName, "U8", 70000)), /expected U8, at most 65536, found U8 \[70000\]/);
  assert.match(String(await resized(stateName, "I8", 10)), /expected U8, at most 65536, found I8 \[10\]/);
});

test("tensors of another size or type, missing ones, and those that belong to none are refused", async () => {
  const weight = `${nf4}.weight`;
  for (const [name, dtype, bytes, message] of [
    [weight, "U8", 5, /w1\.weight: expected 6 bytes by .* found U8 \[5\]/],
    [`${weight}.absmax`, "U8", 2, /absmax: expected U8, 1 bytes .* found U8 \[2\]/],
    [`${weight}.quant_map`, "F32", 60, /quant_map: expected F32, 64 bytes/],
    [`${weight}.nested_absmax`, "F32", 8, /nested_absmax: expected F32, 4 bytes/],
    [`${weight}.nested_quant_map`, "F32", 1020, /nested_quant_map: expected F32, 1024 bytes/],
    [`${int8}.weight`, "U8", 16, /q_proj\.weight: expected I8 by .*SCB.*, found U8 \[16\]/],
    [`${int8}.weight`, "I8", 16, /q_proj\.weight: expected I8 of rows and up to 131072 columns, found I8 \[16\]/],
    [`${int8}.SCB`, "F32", 12, /SCB: expected F32, 16 bytes/],
    [`${int8}.weight_format`, "U8", 2, /weight_format: expected U8, 1 bytes/],
  ] as const) {
    const found = await spoiled((tensors) => {
      const shape = dtype === "F32" ? [bytes / 4] : [bytes];
      tensors[name] = { dtype, shape, bytes: new Uint8Array(bytes) };
    });
    assert.match(String(found), message, name);
  }
  for (const [name, message] of [
    [weight, /w1\.weight: missing; expected 6 bytes/],
    [`${weight}.absmax`, /absmax: missing/],
    [`${weight}.quant_map`, /quant_map: missing/],
    [`${weight}.nested_absmax`, /nested_absmax: missing/],
    [`${weight}.nested_quant_map`, /nested_quant_map: missing/],
    [stateName, /w1\.weight: expected a quant_state.bitsandbytes__nf4 or __fp4 beside .*, found none/],
    [`${int8}.weight`, /q_proj\.weight: missing; expected I8/],
    [`${int8}.SCB`, /SCB: missing; expected F32, 16 bytes/],
  ] as const)
    assert.match(String(await spoiled((tensors) => delete tensors[name])), message, name);
  assert.is(await spoiled((tensors) => delete tensors[`${int8}.weight_format`]), null);
  const both = await spoiled((tensors) => {
    tensors[stateName.replace("nf4", "fp4")] = tensors[stateName];
  });
  assert.match(String(both), /expected one quant_state.* found both/);
  const order = await spoiled((tensors) => void (tensors[`${int8}.weight_format`].bytes[0] = 2));
  assert.match(String(order), /weight_format: expected 0, rows as they are, found 2/);
  const embedding = await spoiled((tensors) => {
    tensors["model.embed_tokens.weight"] = { dtype: "U8", shape: [20], bytes: new Uint8Array(20) };
  });
  assert.match(String(embedding), /embed_tokens\.weight: expected F32, F16 or BF16 \[5, 4\], found U8 \[20\]/);
});

test("codes may have any storage type, and the map any values", async () => {
  const weight = `${nf4}.weight`;
  const stored = await spoiled(
    (tensors) => void (tensors[weight] = { ...tensors[weight], dtype: "BF16", shape: [3, 1] }),
  );
  assert.is(stored, null);
  assert.is(
    await spoiled((tensors) => void new DataView(tensors[`${weight}.quant_map`].bytes.buffer).setFloat32(0, -2)),
    null,
  );
});

test("a config says by whom a checkpoint is quantized", async () => {
  const tensors = bnbTensors();
  const opened = (quantization_config: unknown) => outcome(files(tensors, { ...bnbConfig, quantization_config }));
  assert.is(await opened({ load_in_4bit: true }), null);
  assert.is(await opened({ quant_method: "bitsandbytes", load_in_8bit: true, some_later_field: 1 }), null);
  assert.match(String(await opened({ quant_method: "hqq", bits: 4 })), /quant_method "hqq": this version reads/);
  assert.match(String(await opened({})), /quant_method nothing/);
  assert.match(
    String(await opened({ quant_method: "bitsandbytes", llm_int8_threshold: "6" })),
    /llm_int8_threshold: expected .* found "6" in \/m\/config\.json/,
  );
  // Without it the codes are tensors of a type that is no weight's.
  assert.match(String(await opened(null)), /q_proj\.weight: expected F32, F16 or BF16 \[4, 4\], found I8 \[4, 4\]/);
});

test.run();
