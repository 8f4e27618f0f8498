// GGUF files against Hugging Face on the dequantized weights. The allowance of each format is the fixtures', but for f32
// activations, of which 2e-5 is asked (3.8e-6 was found); with int8 activations twice the simulated maximum, 1.5 times the RMS, 2.25 times the KL.
import { readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { largestDifference, logProbErrors, sameBits } from "./compare.ts";

/** Absolute, of log-probabilities and logits, where the activations stay f32. */
const FLOAT_TOLERANCE = 2e-5;

/** The sets of models, and those of each that are copied. */
const sets = { gguf: ["Q4_K_M"], gguf_iq: [] };

for (const [set, copied] of Object.entries(sets)) {
  const full = fixturesFrom === "../shared";
  if (!full && copied.length === 0) continue;
  const expected = json(`fixtures/${set}/expected.json`);
  const types = readdirSync(fixture(`fixtures/${set}/models`))
    .filter((name) => name.endsWith(".gguf"))
    .map((file) => file.replace(".gguf", ""));
  test(`every model of ${set} is there`, () => {
    assert.equal(types.sort(), full ? Object.keys(expected.types).sort() : copied);
  });
  for (const type of types) testModel(set, type, expected.types[type]);
}

function testModel(set: string, type: string, entry: any): void {
  test(`${set}/models/${type}.gguf`, async () => {
    const { tensors } = safetensors(fixture(`fixtures/${set}/expected/${type}.safetensors`));
    const path = fixture(`fixtures/${set}/models/${type}.gguf`);
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    const ids = [Array.from(tensors.input_ids.data, Number)];
    const { logits } = await model({ input_ids: ids });
    const truth = tensors.logits.data as Float32Array;
    const found = logits.data as Float32Array;
    const vocab = logits.dims[2];
    const { max_abs: max, rms, mean_kl: kl } = logProbErrors(found, truth, vocab);
    const floats = /^(B?F)/.test(type);
    const allowance = floats ? { max_abs: FLOAT_TOLERANCE } : entry.allowance.int8_activations_per_32;
    console.log(
      `# ${type}: max ${max.toExponential(2)} of ${allowance.max_abs}, rms ${rms.toExponential(2)}, kl ${kl.toExponential(2)}`,
    );
    assert.ok(max <= allowance.max_abs, `max ${max}, allowed ${allowance.max_abs}`);
    if (allowance.rms !== undefined) assert.ok(rms <= allowance.rms, `rms ${rms}, allowed ${allowance.rms}`);
    if (allowance.mean_kl !== undefined) assert.ok(kl <= allowance.mean_kl, `kl ${kl}, allowed ${allowance.mean_kl}`);
    for (const { prompt, hugging_face } of entry.greedy) {
      const sequences = await model.generate({ input_ids: [prompt], max_new_tokens: hugging_face.length });
      assert.equal(sequences.tolist()[0].slice(prompt.length), hugging_face);
    }
  });
}

const forms = json("fixtures/gguf/forms/forms.json").forms;
const formsExpected = safetensors(fixture("fixtures/gguf/forms/expected.safetensors")).tensors;
const ids = [Array.from(formsExpected.input_ids.data as Int32Array, Number)];

async function logitsOf(form: string): Promise<Float32Array> {
  await using model = await MixtralForCausalLM.from_pretrained(fixture(`fixtures/gguf/forms/${form}`), { threads: 1 });
  return (await model({ input_ids: ids })).logits.data as Float32Array;
}

for (const [form, { equals }] of Object.entries<any>(forms)) {
  if (!equals || !hasFixture(`fixtures/gguf/forms/${form}`)) continue;
  test(`forms/${form} equals ${equals}`, async () => {
    assert.ok(sameBits(await logitsOf(form), await logitsOf(equals)), "the logits are not the same bits");
  });
}

for (const name of ["tiny-F32"]) {
  test(`forms/${name} against Hugging Face`, async () => {
    await using model = await MixtralForCausalLM.from_pretrained(fixture(`fixtures/gguf/forms/${name}.gguf`), {
      threads: 1,
    });
    const difference = largestDifference((await model({ input_ids: ids })).logits, formsExpected[`${name}.logits`]);
    assert.ok(difference <= FLOAT_TOLERANCE, `differs by ${difference}`);
  });
}

test.run();
