// The option dtype: a model whose weights are encoded while it loads gives the bits of the file that quantize makes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, InputError } from "../../src/errors.ts";
import { AutoModelForCausalLM } from "../../src/generation/auto.ts";
import { MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import { imatrix } from "../../src/quantize/collect.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";

const ids = [[1, 17, 300, 42, 5, 900, 33]];

async function logitsOf(path: string, options: object) {
  await using model = await AutoModelForCausalLM.from_pretrained(path, options);
  const { logits } = await model({ input_ids: ids, use_cache: false });
  return { logits: logits.data as Float32Array, info: model.info() };
}

test("encoded while it loads, or quantized to a file before: the same bits", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-dtype-"));
  try {
    // GGUF's order of rows in q and k gives other sums: the file as a source, not the folder.
    const full = join(folder, "full.gguf");
    await quantize(demo, full, { type: "F32" });
    for (const type of ["Q4_K_M", "Q4_0", "BF16"]) {
      const file = join(folder, `${type}.gguf`);
      await quantize(full, file, { type });
      const expected = await logitsOf(file, { threads: 1 });
      const { logits, info } = await logitsOf(full, { dtype: type.toLowerCase(), threads: 3 });
      assert.equal(info.formats, expected.info.formats, type);
      assert.is(Buffer.compare(Buffer.from(logits.buffer), Buffer.from(expected.logits.buffer)), 0, type);
      assert.ok(info.private_bytes > info.weight_bytes, "what is made is this process's own");
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("with an importance matrix, too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-dtype-"));
  try {
    const [full, matrix, file] = ["full.gguf", "imatrix.gguf", "small.gguf"].map((name) => join(folder, name));
    await quantize(demo, full, { type: "F32" });
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    {
      await using model = await AutoModelForCausalLM.from_pretrained(full, { threads: 2 });
      const text = "Pesto is made of basil, pine nuts, garlic and olive oil. ".repeat(9);
      await imatrix(model, tokenizer, text, matrix, { context: 64 });
    }
    for (const type of ["IQ3_XXS", "Q2_K_S", "Q4_0"]) {
      await quantize(full, file, { type, imatrix: matrix, overwrite: true });
      const expected = await logitsOf(file, { threads: 1 });
      const { logits, info } = await logitsOf(full, { dtype: type.toLowerCase(), imatrix: matrix, threads: 2 });
      assert.equal(info.formats, expected.info.formats, type);
      assert.is(Buffer.compare(Buffer.from(logits.buffer), Buffer.from(expected.logits.buffer)), 0, type);
      // It makes a difference.
      if (type !== "Q4_0") continue;
      const plain = await logitsOf(full, { dtype: "q4_0" });
      assert.is.not(Buffer.compare(Buffer.from(plain.logits.buffer), Buffer.from(logits.buffer)), 0);
    }
    const refused = async (path: string, options: object, kind: typeof InputError, message: RegExp) => {
      const error = await failure(AutoModelForCausalLM.from_pretrained(path, options));
      assert.instance(error, kind);
      assert.match(error.message, message);
    };
    await refused(demo, { imatrix: matrix }, InputError, /^imatrix: it is for encoding while the model loads/);
    await refused(demo, { dtype: "q4_0", imatrix: 5 }, InputError, /^imatrix/);
    const other = fixture("fixtures/hf/base");
    await refused(
      other,
      { dtype: "q8_0", imatrix: matrix },
      CheckpointError as never,
      /imatrix\.gguf: "?blk\.0\.attn_q.*expected a size/,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("progress counts what is made; an abort ends it", async () => {
  const seen: number[] = [];
  await using _ = await AutoModelForCausalLM.from_pretrained(demo, {
    dtype: "q8_0",
    progress_callback: ({ status, loaded, total }) => {
      if (status === "progress") seen.push(loaded / total);
    },
  });
  assert.is(seen.at(-1), 1);
  const controller = new AbortController();
  const reason = new Error("no more");
  const loading = AutoModelForCausalLM.from_pretrained(demo, { dtype: "q8_0", signal: controller.signal });
  controller.abort(reason);
  assert.is(await failure(loading), reason);
});

test("what cannot be is refused by name", async () => {
  const refused = async (path: string, dtype: string, message: RegExp) => {
    const error = await failure(AutoModelForCausalLM.from_pretrained(path, { dtype }));
    assert.instance(error, InputError);
    assert.match(error.message, message);
  };
  await refused(demo, "q9_0", /^dtype: expected "auto".* or one of f32, .*q4_k_m.*found "q9_0"/);
  await refused(demo, "iq2_xxs", /^dtype: .*IQ2_XXS needs an importance matrix/);
  await refused(fixture("fixtures/gguf/models/Q4_K_M.gguf"), "q8_0", /^dtype: .*is quantized already, and as Q8_0/);
  const error = await failure(MixtralForCausalLM.from_config({ vocab_size: 64 }, { dtype: "q4_0" }));
  assert.instance(error, InputError);
  assert.match(error.message, /^dtype: random weights are f32/);
});

test.run();
