// Adapters of a dense model, whose feed-forward block is its one expert: equal to weights that a twin has merged, in f64.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type SafetensorsTensor, writeSafetensors } from "../../src/checkpoint/safetensors_writer.ts";
import { MistralForCausalLM, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";
import { largestDifference } from "./compare.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const [V, H, I, R] = [64, 24, 40, 3];
const config = {
  model_type: "mistral",
  architectures: ["MistralForCausalLM"],
  vocab_size: V,
  hidden_size: H,
  intermediate_size: I,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
};

let state = 1;
const values = (count: number, size: number): Float32Array =>
  Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * size;
  });

/** Matrices by name: rows, columns, values. */
type Matrices = Map<string, { shape: number[]; data: Float32Array }>;

async function save(path: string, tensors: Matrices): Promise<void> {
  const pieces: Uint8Array[] = [];
  const list = [...tensors].map(
    ([name, { shape, data }]): SafetensorsTensor => ({
      name,
      dtype: "F32",
      shape,
      data: () => [new Uint8Array(data.buffer)],
    }),
  );
  await writeSafetensors({ write: async (bytes) => void pieces.push(bytes.slice()) }, list);
  writeFileSync(path, Buffer.concat(pieces));
}

const layers = [0, 1].map((i) => `model.layers.${i}`);
const adapted: [name: string, rows: number, cols: number][] = layers.flatMap((layer) => [
  [`${layer}.self_attn.k_proj`, 8, H],
  [`${layer}.self_attn.o_proj`, H, H],
  [`${layer}.mlp.gate_proj`, I, H],
  [`${layer}.mlp.up_proj`, I, H],
  [`${layer}.mlp.down_proj`, H, I],
]);

test("attention and the feed-forward block", async () => {
  const base: Matrices = new Map();
  const add = (name: string, shape: number[], size = 0.3) =>
    base.set(`${name}.weight`, {
      shape,
      data: values(
        shape.reduce((a, b) => a * b),
        size,
      ),
    });
  for (const name of ["model.embed_tokens", "lm_head"]) add(name, [V, H]);
  for (const name of [
    "model.norm",
    ...layers.flatMap((l) => [`${l}.input_layernorm`, `${l}.post_attention_layernorm`]),
  ])
    add(name, [H], 1);
  for (const layer of layers) {
    add(`${layer}.self_attn.q_proj`, [H, H]);
    add(`${layer}.self_attn.v_proj`, [8, H]);
  }
  for (const [name, rows, cols] of adapted) add(name, [rows, cols]);
  const adapter: Matrices = new Map();
  const merged: Matrices = new Map(base);
  for (const [name, rows, cols] of adapted) {
    const [a, b] = [values(R * cols, 0.2), values(rows * R, 0.2)];
    adapter.set(`base_model.model.${name}.lora_A.weight`, { shape: [R, cols], data: a });
    adapter.set(`base_model.model.${name}.lora_B.weight`, { shape: [rows, R], data: b });
    const data = base.get(`${name}.weight`)!.data.slice();
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < cols; j++) {
        let sum = 0;
        for (let k = 0; k < R; k++) sum += b[i * R + k] * a[k * cols + j];
        data[i * cols + j] += (5 / R) * sum;
      }
    merged.set(`${name}.weight`, { shape: [rows, cols], data });
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify({ peft_type: "LORA", r: R, lora_alpha: 5 }));
  await save(join(folder, "adapter_model.safetensors"), adapter);
  const input_ids = [
    [5, 6, 7, 8, 9, 10, 11],
    [40, 3, 22, 9, 61, 0, 1],
  ];
  await save(join(folder, "model.safetensors"), merged);
  await using twin = await MistralForCausalLM.from_pretrained(folder, { threads: 1 });
  const expected = (await twin({ input_ids, use_cache: false })).logits;
  await twin.dispose();
  await save(join(folder, "model.safetensors"), base);
  await using model = await MistralForCausalLM.from_pretrained(folder, { threads: 2 });
  const array = { shape: [...expected.dims], data: expected.data as Float32Array };
  const without = largestDifference((await model({ input_ids, use_cache: false })).logits, array);
  await model.load_adapter(folder);
  const difference = largestDifference((await model({ input_ids, use_cache: false })).logits, array);
  // 1e-4: sums in f32 in another order, on logits of up to 10, as for models without adapters.
  assert.ok(difference < 1e-4 && without > 0.05, `differs by ${difference}, without the adapter by ${without}`);

  await using mixture = await MixtralForCausalLM.from_pretrained(fixture("fixtures/lora/base"), { threads: 1 });
  const error = await failure(mixture.load_adapter(folder));
  assert.match(error.message, /expected|the model has 4 experts/);
  const experts = await failure(model.load_adapter(fixture("fixtures/lora/w2_and_gate_v4"), { adapter_name: "b" }));
  assert.match(experts.message, /the model has one feed-forward block in each layer, found another/);
});

test.run();
