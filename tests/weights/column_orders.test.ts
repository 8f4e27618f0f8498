// Orders of columns: matrices that meet the same activations and have one order share a packed copy, and the order's memory.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { columnOrder } from "../../src/checkpoint/grouped_matrix.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { bind } from "../../src/weights/bind.ts";
import { copiesOf } from "../../src/weights/column_orders.ts";
import { groupedFile, groupedModel, smallGrouped, type Tensors } from "../checkpoint/grouped_small.ts";
import { memoryFiles } from "../repositories.ts";

async function bound(change: (tensors: Tensors) => void) {
  const { config, tensors } = groupedModel(smallGrouped.gptq);
  change(tensors);
  const files = memoryFiles({ "config.json": JSON.stringify(config), "model.safetensors": groupedFile(tensors) });
  const checkpoint = await openCheckpoint(files);
  const weights = bind(checkpoint, "lm_head");
  await checkpoint.close();
  const copies = copiesOf(weights);
  const { q_proj, k_proj, v_proj, o_proj, experts } = weights.layers[0];
  const [{ w1, w2, w3 }] = experts;
  return { q_proj, k_proj, v_proj, o_proj, w1, w2, w3, copy: (ref: typeof w1) => copies.get(ref) ?? 0 };
}
const attention = (name: string) => `model.layers.0.self_attn.${name}.g_idx`;
const expert = (name: string) => `model.layers.0.block_sparse_moe.experts.0.${name}.g_idx`;

test("a group's columns stand together, in their own order", () => {
  assert.equal([...columnOrder([1, 0, 1, 0], 2)], [1, 3, 0, 2]);
  assert.equal([...columnOrder([2, 2, 0], 3)], [2, 0, 1]);
});

test("each order has a copy of the activations", async () => {
  const { q_proj, k_proj, v_proj, o_proj, w1, w2, w3, copy } = await bound(() => {});
  assert.equal([q_proj, k_proj, v_proj, o_proj, w1, w3, w2].map(copy), [0, 1, 2, 0, 0, 1, 0]);
});

test("matrices of one order have it, and the copy, together", async () => {
  const { q_proj, k_proj, v_proj, w1, w3, copy } = await bound((tensors) => {
    tensors[attention("v_proj")] = tensors[attention("q_proj")];
    tensors[expert("w3")] = tensors[expert("w1")];
  });
  assert.ok(q_proj.order && w1.order);
  assert.is(v_proj.order, q_proj.order);
  assert.is(w3.order, w1.order);
  assert.equal([q_proj, k_proj, v_proj, w1, w3].map(copy), [0, 1, 0, 0, 0]);
});

test("inputs in their order have none, beside others that have one", async () => {
  const natural = new Uint8Array(Int32Array.from({ length: 128 }, (_, i) => i >> 5).buffer);
  const { q_proj, k_proj, v_proj, copy } = await bound((tensors) => {
    for (const name of ["q_proj", "v_proj"].map(attention)) tensors[name] = { ...tensors[name], bytes: natural };
  });
  assert.equal([q_proj.order, v_proj.order], [undefined, undefined]);
  assert.equal([q_proj, k_proj, v_proj].map(copy), [0, 1, 0]);
});

test.run();
