// Binding: every Hugging Face fixture's weights are found, and each ref's bytes are those of the tensor it stands for.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { bind, headOf } from "../../src/weights/bind.ts";
import { demo, fixture, hasFixture, json, safetensors } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";
import { allMatrices, bytesOf, sameBytes } from "./matrices.ts";

const load = async (path: string) => {
  const checkpoint = await openCheckpoint(await repositoryAt(path));
  return { checkpoint, weights: bind(checkpoint, headOf(checkpoint)) };
};

/** Hugging Face's name on disk for a role. */
const nameOf = (role: string): string =>
  role
    .replace(/^(embed_tokens|norm|layers)/, "model.$1")
    .replace(/\.(.)_proj/, ".self_attn.$1_proj")
    .replace(/\.router$/, ".gate")
    .replace(/\.(gate|experts)\b/, ".block_sparse_moe.$1")
    .concat(role.endsWith(".bias") ? "" : ".weight");

/** All tensors of a folder by the tests' own reader. */
function tensorsOf(folder: string): Record<string, { shape: number[]; data: ArrayBufferView }> {
  const files = readdirSync(folder).filter((name) => /^model.*\.safetensors$/.test(name));
  return Object.assign({}, ...files.map((name) => safetensors(join(folder, name)).tensors));
}

const bytes = ({ data }: { data: ArrayBufferView }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

test("every ref of every fixture has the bytes of its tensor", async () => {
  const names = readdirSync(fixture("fixtures/hf")).filter((name) => hasFixture(`fixtures/hf/${name}/config.json`));
  let compared = 0;
  for (const folder of [...names.map((name) => fixture(`fixtures/hf/${name}`)), demo]) {
    const { checkpoint, weights } = await load(folder);
    const tensors = tensorsOf(folder);
    const { architectures, tie_word_embeddings: tied } = checkpoint.config;
    assert.is(weights.head === null, architectures![0] === "MixtralModel", folder);
    assert.is(weights.head?.weight === weights.embed_tokens, tied);
    assert.is(weights.qk_interleaved, false);
    for (const [role, matrix] of allMatrices(weights)) {
      if (folder.endsWith("fused") && /experts/.test(role)) continue;
      const name = role === "lm_head" && tied ? "model.embed_tokens.weight" : nameOf(role);
      const tensor =
        tensors[name] ?? tensors[name.replace("model.", "")] ?? tensors[name.replace("block_sparse_moe", "mlp")];
      assert.equal(
        tensor.shape.length > 1 ? [matrix.rows, matrix.cols] : [matrix.cols],
        tensor.shape,
        `${folder} ${role}`,
      );
      assert.ok(sameBytes(await bytesOf(matrix), bytes(tensor)), `${folder} ${role}`);
      compared++;
    }
    await checkpoint.close();
  }
  console.log(`# ${names.length + 1} checkpoints bound, ${compared} matrices equal byte for byte`);
});

test("fused experts are cut where transformers cuts them: rows [w1; w3] of each expert", async () => {
  const folder = fixture("fixtures/hf/fused");
  const { checkpoint, weights } = await load(folder);
  const tensors = tensorsOf(folder);
  for (const [i, { experts }] of weights.layers.entries()) {
    const gateUp = bytes(tensors[`model.layers.${i}.mlp.experts.gate_up_proj`]);
    const down = bytes(tensors[`model.layers.${i}.mlp.experts.down_proj`]);
    const size = 96 * 64 * 2;
    for (const [j, { w1, w2, w3 }] of experts.entries()) {
      assert.equal([w1.rows, w1.cols, w3.rows, w3.cols, w2.rows, w2.cols], [96, 64, 96, 64, 64, 96]);
      assert.ok(sameBytes(await bytesOf(w1), gateUp.slice(2 * j * size, (2 * j + 1) * size)));
      assert.ok(sameBytes(await bytesOf(w3), gateUp.slice((2 * j + 1) * size, (2 * j + 2) * size)));
      assert.ok(sameBytes(await bytesOf(w2), down.slice(j * size, (j + 1) * size)));
    }
  }
  await checkpoint.close();
});

test("a stored head is not used where the config ties it", async () => {
  const config = { ...json("fixtures/hf/base/config.json"), tie_word_embeddings: true };
  const checkpoint = await openCheckpoint(await repositoryAt(fixture("fixtures/hf/base")), { config });
  const weights = bind(checkpoint, headOf(checkpoint));
  assert.is(weights.head!.weight, weights.embed_tokens);
  await checkpoint.close();
});

test("a causal model without its head is refused", async () => {
  const config = { ...json("small/bare_model/config.json"), architectures: ["MixtralForCausalLM"] };
  const checkpoint = await openCheckpoint(await repositoryAt(fixture("small/bare_model")), { config });
  assert.throws(() => bind(checkpoint, headOf(checkpoint)), /lm_head\.weight: missing; expected \[48, 32\]/);
  await checkpoint.close();
});

test("bitsandbytes checkpoints: what its tensors say is quantized is made, all else stored", async () => {
  for (const name of ["nf4", "nf4_double", "nf4_gate_kept", "fp4", "int8", "v5_style", "v5_fused"]) {
    const path = `fixtures/bnb/${name}`;
    if (!hasFixture(path)) {
      console.log(`# ${path} is not among the copied fixtures; checkpoint/bnb binds a small one`);
      continue;
    }
    const checkpoint = await openCheckpoint(await repositoryAt(fixture(path)));
    const { layers, embed_tokens, head } = bind(checkpoint, headOf(checkpoint));
    const matrices = layers.flatMap(({ experts, q_proj, k_proj, v_proj, o_proj, router }) => [
      ...[q_proj, k_proj, v_proj, o_proj, router!],
      ...experts.flatMap(({ w1, w2, w3 }) => [w1, w2, w3]),
    ]);
    const made = [embed_tokens, head!.weight, ...matrices].filter(({ recipe }) => recipe).map(({ name }) => name);
    assert.equal(made.sort(), json(`${path}/expected.json`).quantized, name);
    await checkpoint.close();
  }
});

test.run();
