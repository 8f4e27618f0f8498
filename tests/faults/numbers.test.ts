// Weights that are no numbers: NaN and infinite scales and values. check_tensors finds each; without it nothing worse comes of
// them than useless numbers, or an error that says that no token can be chosen.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { CheckpointError, InputError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture, fixturesFrom, hasFixture } from "../fixtures.ts";
import { setScale } from "../quant/scales.ts";
import { repositoryAt } from "../repositories.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const names = [
  "F32",
  "Q2_K",
  "Q3_K",
  "Q4_0",
  "Q4_1",
  "Q4_K",
  "Q4_K_M",
  "Q5_0",
  "Q5_1",
  "Q5_K",
  "Q6_K",
  "Q8_0",
  "F16",
  "BF16",
];
/** Below 4.5 bits: IQ1_M's f16 is in four parts. */
const below = ["IQ1_M", "IQ1_S", "IQ2_XS", "IQ3_S", "IQ4_NL", "IQ2_XXS_mix"];
const files = [
  ...names.map((name) => `fixtures/gguf/models/${name}.gguf`),
  ...below.map((name) => `fixtures/gguf_iq/models/${name}.gguf`),
].filter(hasFixture);
assert.is(files.length, fixturesFrom === "../shared" ? names.length + below.length : 1, "GGUF models");

/** Little-endian halves: NaN and infinities as f16, and what is one of them as bf16 and in the upper half of f32. */
const halves = [0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7f80, 0xff80];

for (const file of files) {
  test(`${file}: one scale is no number`, async () => {
    const good = readFileSync(fixture(file));
    const checkpoint = await openCheckpoint(await repositoryAt(fixture(file)));
    await checkpoint.close();
    const model = await MixtralForCausalLM.from_pretrained(fixture(file), { threads: 1, check_tensors: true });
    await model.dispose();
    const path = join(folder, "spoiled.gguf");
    let found = 0;
    for (const { name, format, offset, bytes } of checkpoint.tensors.values()) {
      const wide = format.name === "F32" || format.name === "BF16";
      const half = halves.filter((bits) => (bits & (wide ? 0x7f80 : 0x7c00)) === (wide ? 0x7f80 : 0x7c00))[found % 3];
      const blocks = bytes / format.block_bytes;
      const block = [0, blocks - 1, blocks >> 1][found % 3];
      const spoiled = Buffer.from(good);
      const { scales, scale_type } = format;
      setScale(scale_type, spoiled, offset + block * format.block_bytes + scales[found % scales.length], half);
      writeFileSync(path, spoiled);
      const error = await failure(MixtralForCausalLM.from_pretrained(path, { threads: 1, check_tensors: true }));
      assert.instance(error, CheckpointError);
      const value = block * format.block_values;
      assert.match(
        error.message,
        `${name}: expected finite numbers, found NaN or an infinity in the ${format.name} block at value ${value} in`,
      );
      found++;
    }
    console.log(`# ${file}: ${found} spoiled tensors found`);
  });

  test(`${file}: all weights of a tensor are no numbers, and nobody looked`, async () => {
    const good = readFileSync(fixture(file));
    const checkpoint = await openCheckpoint(await repositoryAt(fixture(file)));
    await checkpoint.close();
    for (const tensor of ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_gate_inp.weight", "output.weight"]) {
      const { offset, bytes } = checkpoint.tensors.get(tensor)!;
      const path = join(folder, "nan.gguf");
      writeFileSync(path, Buffer.from(good).fill(0xff, offset, offset + bytes));
      await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2, mmap: false });
      for (const input_ids of [[1], [1, 2, 3, 4, 5]]) {
        const { logits } = await model({ input_ids });
        const numbers = (logits.data as Float32Array).every(Number.isFinite);
        for (const do_sample of [false, true]) {
          const call = model.generate({ input_ids, max_new_tokens: 2, do_sample, seed: 1 });
          if (numbers) await call;
          else assert.match((await failure(call)).message, /row 0: no token can be chosen/);
        }
      }
    }
  });
}

test("norms that are no numbers give no token", async () => {
  const file = fixture("fixtures/gguf/forms/tiny-Q8_0.gguf");
  const checkpoint = await openCheckpoint(await repositoryAt(file));
  await checkpoint.close();
  for (const tensor of ["output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"]) {
    const { offset, bytes } = checkpoint.tensors.get(tensor)!;
    const path = join(folder, "norm.gguf");
    writeFileSync(path, readFileSync(file).fill(0xff, offset, offset + bytes));
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    for (const do_sample of [false, true]) {
      const error = await failure(model.generate({ input_ids: [1, 2, 3], max_new_tokens: 2, do_sample, seed: 1 }));
      assert.instance(error, InputError, tensor);
      assert.match(error.message, /row 0: no token can be chosen: .*NaN/);
    }
  }
});

test.run();
