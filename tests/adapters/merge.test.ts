// Merged checkpoints: read by this engine they give PEFT's merged logits (tolerance 1e-3, as the fixtures' README has it), for
// every adapter; in files of the base's own floats each weight is rounded once, as torch rounds.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { CheckpointError, InputError, MixtralForCausalLM, merge, WriteError } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { formats } from "../../src/quant/formats.ts";
import { narrow } from "../../src/quant/narrow.ts";
import { failure } from "../failure.ts";
import { fixture, hasFixture, json, safetensors } from "../fixtures.ts";
import { largestDifference, sameBits } from "../model/compare.ts";
import { loraBaseAsGGUF } from "../model/lora_gguf.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const base = fixture("fixtures/lora/base");
const adapterAt = (name: string) => fixture(`fixtures/lora/${name}`);

const names = readdirSync(fixture("fixtures/lora")).filter((name) =>
  hasFixture(`fixtures/lora/${name}/adapter_config.json`),
);

async function logitsOf(path: string, input_ids: number[][]) {
  await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
  return (await model({ input_ids, use_cache: false })).logits;
}

for (const name of names) {
  test(name, async () => {
    const { input_ids } = json(`fixtures/lora/${name}/expected.json`);
    const { tensors } = safetensors(fixture(`fixtures/lora/${name}/expected.safetensors`));
    const out = join(folder, name);
    await merge(base, [adapterAt(name)], out, { dtype: "f32", max_shard_bytes: 200_000 });
    assert.ok(existsSync(join(out, "model.safetensors.index.json")));
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    assert.equal(config, { ...json("fixtures/lora/base/config.json"), dtype: "float32" });
    // transformers tells 0.0 from 0.
    assert.match(readFileSync(join(out, "config.json"), "utf8"), '"router_jitter_noise": 0.0');
    const difference = largestDifference(
      await logitsOf(out, input_ids),
      tensors.logits_merged ?? tensors.logits_explicit,
    );
    assert.ok(difference <= 1e-3, `differs by ${difference}, allowed 1e-3`);

    const stored = join(folder, `${name} as the base`);
    await merge(base, [adapterAt(name)], stored);
    assert.equal(readdirSync(stored).sort(), ["config.json", "model.safetensors"]);
    const same = safetensors(join(stored, "model.safetensors")).tensors;
    const before = safetensors(join(base, "model.safetensors")).tensors;
    assert.equal(Object.keys(same), Object.keys(before));
    for (const file of readdirSync(out).filter((each) => each.endsWith(".safetensors")))
      for (const [tensor, { data }] of Object.entries(safetensors(join(out, file)).tensors))
        assert.equal(narrow(data as Float32Array<ArrayBuffer>, formats.BF16), same[tensor].data, tensor);
  });
}

/** The tensors of a GGUF file. */
async function ggufTensors(path: string): Promise<Map<string, { format: string; bytes: Uint8Array }>> {
  const file = await (await currentPlatform()).open(path);
  const all = new Map<string, { format: string; bytes: Uint8Array }>();
  for (const { name, format, offset, bytes: length } of (await readGGUF(file)).tensors) {
    const bytes = new Uint8Array(length);
    await file.read(offset, bytes);
    all.set(name, { format: format.name, bytes });
  }
  await file.close();
  return all;
}

test("into a GGUF, another GGUF", async () => {
  const source = join(folder, "base.gguf");
  writeFileSync(source, await loraBaseAsGGUF("f32"));
  for (const name of names) {
    const { input_ids } = json(`fixtures/lora/${name}/expected.json`);
    const { tensors } = safetensors(fixture(`fixtures/lora/${name}/expected.safetensors`));
    const [out, rounded] = ["f32", "bf16"].map((dtype) => join(folder, `${name} ${dtype}.gguf`));
    await merge(source, [adapterAt(name)], out);
    const difference = largestDifference(
      await logitsOf(out, input_ids),
      tensors.logits_merged ?? tensors.logits_explicit,
    );
    assert.ok(difference <= 1e-3, `${name}: differs by ${difference}, allowed 1e-3`);
    await merge(source, [adapterAt(name)], rounded, { dtype: "bf16" });
    const [exact, halves] = [await ggufTensors(out), await ggufTensors(rounded)];
    for (const [tensor, { format, bytes }] of halves) {
      assert.is(format, /norm|gate_inp/.test(tensor) ? "F32" : "BF16", tensor);
      const values = new Float32Array(exact.get(tensor)!.bytes.slice().buffer);
      assert.equal(bytes, format === "F32" ? exact.get(tensor)!.bytes : narrow(values, formats.BF16), tensor);
    }
  }
  assert.match(
    (await failure(merge(source, [adapterAt(names[0])], join(folder, "a folder")))).message,
    /a \.gguf file/,
  );
});

test("several add up, each with a scale, as they do in the engine", async () => {
  const input_ids = [[5, 42, 79, 116, 153]];
  const [a, b] = ["w2_and_gate_v4", "head_and_embedding_lora"].map(adapterAt);
  const out = join(folder, "several");
  await merge(base, [{ path: a, scale: 0.5 }, b], out, { dtype: "f32" });
  await using model = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  await model.load_adapter(a, { adapter_name: "a", scale: 0.5 });
  await model.load_adapter(b, { adapter_name: "b" });
  model.set_adapter(["a", "b"]);
  const { logits } = await model({ input_ids, use_cache: false });
  const merged = await logitsOf(out, input_ids);
  const difference = largestDifference(merged, { shape: [...logits.dims], data: logits.data as Float32Array });
  assert.ok(difference <= 1e-3 && difference > 0, `differs by ${difference}`);
});

test("tied weights come apart where one of them changes; other files come along", async () => {
  const tied = join(folder, "tied");
  mkdirSync(tied);
  const config = json("fixtures/lora/base/config.json");
  writeFileSync(join(tied, "config.json"), JSON.stringify({ ...config, tie_word_embeddings: true }));
  writeFileSync(join(tied, "model.safetensors"), readFileSync(join(base, "model.safetensors")));
  writeFileSync(join(tied, "tokenizer_config.json"), "{}");
  writeFileSync(join(tied, "README.md"), "about the base");
  const input_ids = [[5, 42, 79, 116, 153]];
  for (const [name, apart] of [
    ["head_and_embedding_lora", true],
    ["w2_and_gate_v4", false],
  ] as const) {
    const out = join(folder, `tied ${name}`);
    await merge(tied, [adapterAt(name)], out, { dtype: "f32" });
    assert.equal(readdirSync(out).sort(), ["config.json", "model.safetensors", "tokenizer_config.json"]);
    assert.is(JSON.parse(readFileSync(join(out, "config.json"), "utf8")).tie_word_embeddings, !apart);
    await using model = await MixtralForCausalLM.from_pretrained(tied, { threads: 1 });
    await model.load_adapter(adapterAt(name));
    const { logits } = await model({ input_ids, use_cache: false });
    const difference = largestDifference(await logitsOf(out, input_ids), {
      shape: [...logits.dims],
      data: logits.data as Float32Array,
    });
    assert.ok(difference <= 1e-3, `${name} differs by ${difference}`);
  }
});

test("nothing stands there before all is written; what cannot be merged is refused", async () => {
  const adapter = adapterAt("w2_and_gate_v4");
  const there = join(folder, "there");
  mkdirSync(there);
  writeFileSync(join(there, "file"), "x");
  const controller = new AbortController();
  const stops = {
    signal: controller.signal,
    progress_callback: () => controller.abort(new Error("enough")),
  };
  const calls: [() => Promise<void>, new (...args: never[]) => Error, RegExp][] = [
    [
      () => merge(base, [adapter], there),
      WriteError,
      /there: expected nothing, where a folder is to be made, found a folder/,
    ],
    [() => merge(base, [adapter], join(there, "file")), WriteError, /file: expected nothing, .*found a file/],
    [() => merge(base, [], join(folder, "none")), InputError, /expected a list of adapters/],
    [
      () => merge(base, [{ path: adapter, scale: Number.NaN }], join(folder, "none")),
      InputError,
      /scale: expected a number/,
    ],
    [
      () => merge(base, [adapter], join(folder, "none"), { dtype: "q4_0" as never }),
      InputError,
      /dtype: expected one of f32/,
    ],
    [() => merge(base, [join(folder, "nothing")], join(folder, "none")), CheckpointError, /nothing/],
    [() => merge(base, [adapter], join(folder, "none"), stops), Error, /enough/],
    [
      () =>
        merge(
          base,
          [adapterAt("head_and_embedding_saved"), adapterAt("head_and_embedding_saved")],
          join(folder, "none"),
        ),
      InputError,
      /another adapter has a matrix in place of the model's/,
    ],
    [
      () => merge(fixture("fixtures/gguf/models/Q4_K_M.gguf"), [adapter], join(folder, "none.gguf")),
      CheckpointError,
      /its weights are quantized \(Q\d.*\): merge into the model in full precision, and quantize/,
    ],
  ];
  const saved = hasFixture("fixtures/lora/head_and_embedding_saved");
  for (const [call, kind, words] of calls) {
    if (!saved && /another adapter/.test(words.source)) continue; // not among the copied fixtures
    const error = await failure(call());
    assert.instance(error, kind, String(error));
    assert.match(error.message, words);
  }
  assert.equal(
    readdirSync(folder).filter((name) => /none|part/.test(name)),
    [],
  );
});

test("halves are rounded to nearest even", () => {
  const values = new Float32Array([0, -0, 1, 65504, 65519.99, 65520, 1e30, -1e30, Infinity, Number.NaN, 2 ** -24]);
  const more = new Float32Array([
    2 ** -25,
    1.5 * 2 ** -24,
    2 ** -14,
    2 ** -14 - 2 ** -25,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
  ]);
  const halves = (from: Float32Array<ArrayBuffer>, format = formats.F16) => [
    ...new Uint16Array(narrow(from, format).slice().buffer),
  ];
  assert.equal(halves(values), [0, 0x8000, 0x3c00, 0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7c00, 0x7e00, 1]);
  assert.equal(halves(more), [0, 2, 0x0400, 0x0400, 0x3c00, 0x3c02]);
  const wide = new Float32Array([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, Number.NaN]);
  assert.equal(halves(wide, formats.BF16), [0x3f80, 0x3f80, 0x3f82, 0x7f80, 0x7fc0]);
  assert.ok(sameBits(new Float32Array(narrow(wide.slice(0, 4), formats.F32).slice().buffer), wide.slice(0, 4)));
});

test.run();
