// Adapters on other formats of the base: a GGUF, whose rows of q and k stand in another order, against PEFT; and quantized
// weights, whose products are the base's own while what is added is in f32, against readable twins.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { MixtralForCausalLM, type Tensor } from "../../src/index.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { largestDifference, sameBits } from "./compare.ts";
import { baseValues, type GGUFKind, loraBaseAsGGUF } from "./lora_gguf.ts";

const folders = ["q_v", "patterns", "experts_fused", "all_linear", "head_and_embedding_lora", "w2_and_gate_v4"].filter(
  (name) => hasFixture(`fixtures/lora/${name}`),
);
assert.is(folders.length, fixturesFrom === "../shared" ? 6 : 3);
const adapterAt = (name: string) => fixture(`fixtures/lora/${name}`);
const config = json("fixtures/lora/base/config.json");
const { input_ids } = json("fixtures/lora/w2_and_gate_v4/expected.json");

async function load(kind: GGUFKind): Promise<MixtralForCausalLM> {
  const checkpoint = await openCheckpoint(memoryFiles({ "m.gguf": await loraBaseAsGGUF(kind) }, "m.gguf"));
  try {
    return await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 2 });
  } finally {
    await checkpoint.close();
  }
}

test("on a GGUF: PEFT's logits", async () => {
  await using model = await load("f32");
  let worst = 0;
  for (const name of folders) {
    await model.load_adapter(adapterAt(name), { adapter_name: name });
    const { tensors } = safetensors(fixture(`fixtures/lora/${name}/expected.safetensors`));
    const { logits } = await model({
      input_ids: json(`fixtures/lora/${name}/expected.json`).input_ids,
      use_cache: false,
    });
    worst = Math.max(worst, largestDifference(logits, tensors.logits));
  }
  console.log(`# adapters on a GGUF differ from PEFT by ${worst.toExponential(1)}`);
  assert.ok(worst <= 1e-3, `differs by ${worst}, allowed 1e-3`);
});

/** The mean difference of two tensors of logits. */
function meanDifference(a: Tensor, b: Tensor): number {
  let sum = 0;
  for (const [i, value] of (a.data as Float32Array).entries()) sum += Math.abs(value - (b.data as Float32Array)[i]);
  return sum / a.data.length;
}

test("on Q4_0: no further from the same values in f32 than without an adapter", async () => {
  // What differs is that products with Q4_0 take activations of 8 bits: on every base that costs what it costs on its
  // own, and what an adapter adds costs nothing. Factor 2: the adapters make other activations of it.
  await using quantized = await load("q4_0");
  await using twin = await load("decoded");
  const inputs = { input_ids, use_cache: false };
  const of = async (model: MixtralForCausalLM) => (await model(inputs)).logits;
  const without = meanDifference(await of(quantized), await of(twin));
  assert.ok(without > 1e-4, "activations are rounded");
  for (const name of folders) {
    const before = await of(quantized);
    for (const model of [quantized, twin]) await model.load_adapter(adapterAt(name), { adapter_name: name });
    const changed = await of(quantized);
    assert.not.ok(sameBits(before.data as Float32Array, changed.data as Float32Array));
    const difference = meanDifference(changed, await of(twin));
    console.log(`# ${name} on Q4_0: ${difference.toExponential(1)} in the mean, without ${without.toExponential(1)}`);
    assert.ok(difference <= 2 * without, `${name}: ${difference}, without an adapter ${without}`);
  }
});

test("on Q4_0: what is added to head and embedding is what a twin adds", async () => {
  await using model = await load("q4_0");
  await model.load_adapter(adapterAt("head_and_embedding_lora"));
  const { tensors } = safetensors(fixture("fixtures/lora/head_and_embedding_lora/adapter_model.safetensors"));
  const part = (name: string) => tensors[`base_model.model.${name}`].data as Float32Array;
  const scale = 16 / 4;
  const { hidden_size: H, vocab_size: V } = config;
  const values = baseValues();

  const out = await model({ input_ids, use_cache: false, output_hidden_states: true });
  const [embedA, embedB] = [part("model.embed_tokens.lora_embedding_A"), part("model.embed_tokens.lora_embedding_B")];
  const [headA, headB] = [part("lm_head.lora_A.weight"), part("lm_head.lora_B.weight")];
  const table = values.get("model.embed_tokens.weight")!.data;
  const head = values.get("lm_head.weight")!.data;
  const found = { embedding: 0, head: 0 };
  const tokens = input_ids.flat() as number[];
  for (const [t, token] of tokens.entries()) {
    const x = out.hidden_states![0].data as Float32Array;
    for (let h = 0; h < H; h++) {
      let expected = table[token * H + h];
      for (let j = 0; j < 4; j++) expected += scale * embedB[h * 4 + j] * embedA[j * V + token];
      found.embedding = Math.max(found.embedding, Math.abs(x[t * H + h] - expected));
    }
    const last = (out.hidden_states!.at(-1)!.data as Float32Array).subarray(t * H, (t + 1) * H);
    const dot = (row: Float32Array, from: number) => last.reduce((sum, v, i) => sum + v * row[from + i], 0);
    const inner = [0, 1, 2, 3].map((j) => dot(headA, j * H));
    for (let v = 0; v < V; v++) {
      const expected = dot(head, v * H) + scale * inner.reduce((sum, u, j) => sum + u * headB[v * 4 + j], 0);
      found.head = Math.max(found.head, Math.abs((out.logits.data as Float32Array)[t * V + v] - expected));
    }
  }
  // 1e-5: sums of 64 products in f32 against f64, on values of up to 10.
  assert.ok(found.embedding < 1e-6 && found.head < 1e-5, JSON.stringify(found));
});

test.run();
