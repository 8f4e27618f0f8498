// Mistral's own layout against Hugging Face's values: the checkpoints of fixtures/mistral_native where they are, and in every
// clone fixtures/hf/base written as mistral-inference reads it. Tolerance 1e-4 absolute, as in hf.test.ts.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { AutoConfig, MixtralForCausalLM, TramontaneError } from "../../src/index.ts";
import { base, fileOf, native, params } from "../checkpoint/native.ts";
import { failure } from "../failure.ts";
import { fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { largestDifference, sameBits } from "./compare.ts";

const TOLERANCE = 1e-4;

const cases = fixturesFrom === "../shared" ? ["old", "new", "window"] : [];
for (const name of cases)
  test(`fixtures/mistral_native/${name}`, async () => {
    const folder = `fixtures/mistral_native/${name}`;
    const { greedy } = json(`${folder}/expected.json`);
    const { tensors } = safetensors(fixture(`${folder}/expected.safetensors`));
    await using model = await MixtralForCausalLM.from_pretrained(fixture(`${folder}/native`), { threads: 2 });
    const input_ids = [Array.from(tensors.input_ids.data as Int32Array, Number)];
    const { logits } = await model({ input_ids, use_cache: false });
    const difference = largestDifference(logits, tensors.logits);
    assert.ok(difference <= TOLERANCE, `logits differ by ${difference}`);
    const ids = await model.generate({ input_ids, max_new_tokens: greedy.length, eos_token_id: -1 });
    assert.equal(ids.tolist()[0].slice(input_ids[0].length), greedy);
    console.log(`# ${name}: largest difference ${difference.toExponential(1)}`);
  });

test("the names of the first release are told as missing", async () => {
  if (fixturesFrom !== "../shared") return;
  const error = await failure(
    MixtralForCausalLM.from_pretrained(fixture("fixtures/mistral_native/early_names/native")),
  );
  assert.instance(error, TramontaneError);
  assert.match(error.message, /layers\.0\..*: missing/);
});

// ------------------------------------------------------------------------------------------------ fixtures/hf/base

const input_ids = [Array.from({ length: 30 }, (_, i) => (i * 37 + 5) % 150)];

async function logitsOf(repository: Repository): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(repository);
  try {
    await using model = await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 1 });
    return (await model({ input_ids, use_cache: false })).logits.data as Float32Array;
  } finally {
    await checkpoint.close();
  }
}

const text = JSON.stringify(params);
const [first, second] = [native.slice(0, 9), native.slice(9)];

test("one file, several with and without an index: Hugging Face's logits, and the same bits of each", async () => {
  await using twin = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  const { logits } = await twin({ input_ids, use_cache: false });
  const one = await logitsOf(memoryFiles({ "params.json": text, "consolidated.safetensors": fileOf(native) }));
  const expected = { shape: logits.dims, data: logits.data as Float32Array };
  const difference = largestDifference({ dims: logits.dims, data: one } as never, expected);
  // Other rows of q and k are added in another order; against the values themselves hf.test.ts looks.
  assert.ok(difference <= TOLERANCE, `differ by ${difference}`);
  const parts = {
    "params.json": text,
    "consolidated-00001-of-00002.safetensors": fileOf(first),
    "consolidated-00002-of-00002.safetensors": fileOf(second),
  };
  assert.ok(sameBits(await logitsOf(memoryFiles(parts)), one));
  const weight_map = Object.fromEntries(
    native.map((tensor) => [tensor.name, `consolidated-0000${first.includes(tensor) ? 1 : 2}-of-00002.safetensors`]),
  );
  const index = { "consolidated.safetensors.index.json": JSON.stringify({ weight_map }) };
  assert.ok(sameBits(await logitsOf(memoryFiles({ ...parts, ...index })), one));
  // Beside Hugging Face's layout it does not count.
  const both = Object.fromEntries(readdirSync(base).map((name) => [name, readFileSync(join(base, name))]));
  assert.ok(sameBits(await logitsOf(memoryFiles({ ...both, "params.json": "{}" })), logits.data as Float32Array));
});

test("params.json: what its fields become", async () => {
  const read = async (changes: object) => {
    const files = {
      "params.json": JSON.stringify({ ...params, ...changes }),
      "consolidated.safetensors": fileOf(native),
    };
    const checkpoint = await openCheckpoint(memoryFiles(files));
    await checkpoint.close();
    return checkpoint.config;
  };
  const plain = await read({ model_type: "transformer", lora: null, whatever: 5 });
  assert.is(plain.model_type, "mixtral");
  assert.equal(
    [plain.rope_theta, plain.sliding_window, plain.max_position_embeddings, plain.tie_word_embeddings],
    [1e6, null, 32768, false],
  );
  const windowed = await read({ _sliding_window: 7, max_seq_len: 100 });
  assert.equal([windowed.rope_theta, windowed.sliding_window, windowed.max_position_embeddings], [1e4, 7, 100]);
  assert.is((await read({ sliding_window: 7, rope_theta: 5000 })).rope_theta, 5000);
  assert.is((await read({ moe: null })).model_type, "mistral");
  for (const [changes, pattern] of [
    [{ dim: undefined }, /dim: missing in \/m\/params.json/],
    [{ dim: "64" }, /dim: expected an integer .*found "64" in \/m\/params.json/],
    [{ moe: { num_experts: 8 } }, /moe.num_experts_per_tok: missing/],
    [
      { moe: { num_experts: 2, num_experts_per_tok: 3 } },
      /moe.num_experts_per_tok: expected at most moe.num_experts 2, found 3/,
    ],
    [{ moe: 5 }, /moe: expected an object, found 5/],
    [{ sliding_window: 7, _sliding_window: 7 }, /_sliding_window: expected none beside sliding_window/],
    [{ sliding_window: [7, 8] }, /sliding_window: expected one window/],
    [{ lora: { rank: 4 } }, /lora: this version does not compute it/],
    [{ vision_encoder: {} }, /vision_encoder: this version does not compute it/],
  ] as const)
    assert.match((await failure(read(changes))).message, pattern);
  const lone = await failure(openCheckpoint(memoryFiles({ "params.json": text })));
  assert.match(lone.message, /params.json: expected consolidated.safetensors beside it/);
  const missing = fileOf(native.filter(({ name }) => name !== "layers.1.feed_forward.experts.3.w2.weight"));
  const error = await failure(logitsOf(memoryFiles({ "params.json": text, "consolidated.safetensors": missing })));
  assert.match(error.message, /layers\.1\.feed_forward\.experts\.3\.w2\.weight: missing/);
});

if (fixturesFrom === "../shared")
  test("AutoConfig reads it", async () => {
    const { head_dim, sliding_window } = await AutoConfig.from_pretrained(
      fixture("fixtures/mistral_native/window/native"),
    );
    assert.equal([head_dim, sliding_window], [24, 7]);
  });

test.run();
