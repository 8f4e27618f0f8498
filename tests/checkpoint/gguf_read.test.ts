// GGUF files of every lawful form give the same model; metadata of every type comes out as it went in.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { modelShape } from "../../src/config/shape.ts";
import type { SourceFile } from "../../src/platform/platform.ts";
import { formats } from "../../src/quant/formats.ts";
import { bind, headOf } from "../../src/weights/bind.ts";
import type { MatrixRef } from "../../src/weights/weights.ts";
import { fixture, fixturesFrom, hasFixture, json } from "../fixtures.ts";
import { memoryFiles, repositoryAt } from "../repositories.ts";
import { allMatrices, bytesOf, sameBytes } from "../weights/matrices.ts";

const forms = fixture("fixtures/gguf/forms");

const load = async (path: string) => {
  const checkpoint = await openCheckpoint(await repositoryAt(path));
  return { checkpoint, weights: bind(checkpoint, headOf(checkpoint)) };
};

/** Shape as the forward pass uses it: epsilon is an f32 in a GGUF. */
const shapeOf = (config: Parameters<typeof modelShape>[0]) => {
  const shape = modelShape(config);
  return { ...shape, eps: Math.fround(shape.eps) };
};

test("forms of one model have equal config, shapes, formats and bytes", async () => {
  let compared = 0;
  for (const [name, { equals }] of Object.entries<{ equals: string | null }>(
    json("fixtures/gguf/forms/forms.json").forms,
  )) {
    if (fixturesFrom !== "../shared" && !hasFixture(`fixtures/gguf/forms/${name}`)) continue; // two of the largest
    const form = await load(join(forms, name));
    if (equals) {
      const base = await load(join(forms, equals));
      assert.equal(shapeOf(form.checkpoint.config), shapeOf(base.checkpoint.config), name);
      const [ours, theirs] = [allMatrices(form.weights), allMatrices(base.weights)];
      assert.is(ours.length, theirs.length, name);
      for (const [i, [role, matrix]] of ours.entries()) {
        const [otherRole, other] = theirs[i];
        assert.is(role, otherRole);
        assert.equal(
          [matrix.rows, matrix.cols, matrix.format.name],
          [other.rows, other.cols, other.format.name],
          `${name} ${role}`,
        );
        // Rows of q and k are in another order in a GGUF: see the next test.
        if (equals === "tiny-hf" && /[qk]_proj/.test(role)) continue;
        assert.ok(sameBytes(await bytesOf(matrix), await bytesOf(other)), `${name} ${role}`);
        compared++;
      }
      await base.checkpoint.close();
    }
    await form.checkpoint.close();
  }
  console.log(`# ${compared} matrices of GGUF forms equal byte for byte`);
  assert.ok(compared > 150);
});

test("q and k rows: row 2i+h of a GGUF's head is Hugging Face's row h·D/2+i", async () => {
  const gguf = await load(join(forms, "tiny-F32.gguf"));
  const hf = await load(join(forms, "tiny-hf"));
  assert.is(gguf.weights.qk_interleaved, true);
  assert.is(hf.weights.qk_interleaved, false);
  const D = gguf.checkpoint.config.resolved_head_dim;
  for (const role of ["q_proj", "k_proj"] as const) {
    const [ours, theirs] = [gguf.weights.layers[0][role], hf.weights.layers[0][role]];
    const row = ours.cols * 4;
    const [a, b] = [await bytesOf(ours), await bytesOf(theirs)];
    for (let r = 0; r < ours.rows; r++) {
      const [head, j] = [Math.floor(r / D), r % D];
      const other = head * D + (j % 2) * (D / 2) + (j >> 1);
      assert.ok(
        sameBytes(a.subarray(r * row, (r + 1) * row), b.subarray(other * row, (other + 1) * row)),
        `${role} row ${r}`,
      );
    }
  }
  await Promise.all([gguf.checkpoint.close(), hf.checkpoint.close()]);
});

test("any part of a split set, and its folder, open the same", async () => {
  const names = [1, 2, 3].map((n) => join(forms, "split", `tiny-0000${n}-of-00003.gguf`));
  for (const path of [...names, join(forms, "split")]) {
    const { checkpoint, weights } = await load(path);
    assert.is(checkpoint.files.length, 3);
    assert.is(weights.layers.length, 1);
    await checkpoint.close();
  }
});

test("tied embeddings are one ref; an output of its own is another", async () => {
  for (const [name, tied] of [
    ["tied.gguf", true],
    ["tied_explicit.gguf", false],
  ] as const) {
    const { checkpoint, weights } = await load(join(forms, name));
    assert.is(weights.head?.weight === weights.embed_tokens, tied, name);
    await checkpoint.close();
  }
});

test("every type of the models opens, with the formats that its name says", async () => {
  const models = Object.keys(formats)
    .flatMap((type) => ["gguf", "gguf_iq"].map((set) => [type, `fixtures/${set}/models/${type}.gguf`]))
    .filter(([, path]) => hasFixture(path));
  // All but TQ1_0, TQ2_0 and MXFP4; of the copies none.
  assert.is(models.length, fixturesFrom === "../shared" ? 22 : 0);
  for (const [type, path] of models) {
    const { checkpoint, weights } = await load(fixture(path));
    const formatOf = (m: MatrixRef) => m.format.name;
    assert.is(formatOf(weights.layers[0].experts.at(-1)!.w2), type);
    assert.is(formatOf(weights.layers[0].router!), "F32");
    assert.is(checkpoint.config.rope_theta, 1e6);
    assert.is(checkpoint.config.num_hidden_layers, weights.layers.length);
    await checkpoint.close();
  }
});

test("mixed files have the format of each tensor", async () => {
  const low = "fixtures/gguf_iq/models/IQ2_XXS_mix.gguf";
  if (hasFixture(low)) {
    const { checkpoint, weights } = await load(fixture(low));
    const [{ q_proj, k_proj, v_proj, o_proj, experts }] = weights.layers;
    const { w1, w2, w3 } = experts[2];
    assert.equal(
      [weights.embed_tokens, weights.head!.weight, q_proj, k_proj, v_proj, o_proj, w1, w2, w3].map(
        (m) => m.format.name,
      ),
      ["Q2_K", "Q5_K", "IQ2_XXS", "Q4_K", "Q4_K", "Q5_K", "IQ2_XXS", "IQ2_XXS", "IQ2_XXS"],
    );
    await checkpoint.close();
  }
  const name = "fixtures/gguf/models/Q4_K_M.gguf";
  if (!hasFixture(name)) return;
  const { checkpoint, weights } = await load(fixture(name));
  const { q_proj, k_proj, v_proj, experts } = weights.layers[0];
  assert.equal(
    [q_proj, k_proj, v_proj, experts[0].w2].map((m) => m.format.name),
    ["Q4_K", "Q8_0", "Q6_K", "Q6_K"],
  );
  assert.equal(checkpoint.generation_config, { bos_token_id: 1, eos_token_id: 2 });
  await checkpoint.close();
});

test("defaults: theta 10000, head size, number of tokens", async () => {
  const { checkpoint } = await load(join(forms, "defaults.gguf"));
  const { rope_theta, resolved_head_dim, vocab_size, sliding_window } = checkpoint.config;
  assert.equal(
    { rope_theta, resolved_head_dim, vocab_size, sliding_window },
    { rope_theta: 10000, resolved_head_dim: 16, vocab_size: 320, sliding_window: null },
  );
  await checkpoint.close();
});

test("the scale of positions, by its name of today and of before", async () => {
  const file = await (await repositoryAt(forms)).open("tiny-F32.gguf");
  const { metadata, types, tensors } = await readGGUF(file);
  const { writeGGUF } = await import("../../src/checkpoint/gguf_writer.ts");
  const parts = await Promise.all(
    tensors.map(async ({ name, format, shape, offset, bytes }) => {
      const data = new Uint8Array(bytes);
      await file.read(offset, data);
      return { name, format: format.name, shape, data: () => [data] };
    }),
  );
  await file.close();
  for (const [extra, rope_type, factor] of [
    [[["llama.rope.scale_linear", "f32", 4]], "linear", 4],
    [[["llama.rope.scale_linear", "f32", 1]], "default", undefined],
    [
      [
        ["llama.rope.scaling.type", "string", "linear"],
        ["llama.rope.scaling.factor", "f32", 2],
      ],
      "linear",
      2,
    ],
  ] as const) {
    const pieces: Uint8Array[] = [];
    const own = [...metadata].map(([key, value]) => [key, types.get(key)!, value] as const);
    await writeGGUF({ write: async (bytes) => void pieces.push(bytes.slice()) }, [...own, ...extra], parts);
    const checkpoint = await openCheckpoint(memoryFiles({ "m.gguf": Buffer.concat(pieces) }, "m.gguf"));
    const { rope_parameters } = checkpoint.config;
    assert.equal([rope_parameters.rope_type, rope_parameters.factor], [rope_type, factor]);
    await checkpoint.close();
  }
});

test("metadata of every type at its extreme", async () => {
  const file = await (await repositoryAt(forms)).open("metadata.gguf");
  const { metadata, types } = await readGGUF(file);
  await file.close();
  const text = "é日🦙\n\0end";
  const extremes: [number, string, unknown, unknown][] = [
    [0, "u8", 255, Uint8Array.of(255, 255, 255)],
    [1, "i8", -128, Int8Array.of(-128, -128, -128)],
    [2, "u16", 65535, Uint16Array.of(65535, 65535, 65535)],
    [3, "i16", -32768, Int16Array.of(-32768, -32768, -32768)],
    [4, "u32", 2 ** 32 - 1, Uint32Array.of(2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1)],
    [5, "i32", -(2 ** 31), Int32Array.of(-(2 ** 31), -(2 ** 31), -(2 ** 31))],
    [6, "f32", Math.fround(0.1), Float32Array.of(0.1, 0.1, 0.1)],
    [7, "bool", true, [true, true, true]],
    [8, "string", text, [text, text, text]],
    [10, "u64", 2n ** 64n - 1n, BigUint64Array.of(2n ** 64n - 1n, 2n ** 64n - 1n, 2n ** 64n - 1n)],
    [11, "i64", -(2n ** 63n), BigInt64Array.of(-(2n ** 63n), -(2n ** 63n), -(2n ** 63n))],
    [12, "f64", 0.1, Float64Array.of(0.1, 0.1, 0.1)],
  ];
  for (const [id, type, scalar, array] of extremes) {
    assert.is(metadata.get(`test.scalar.${id}`), scalar);
    assert.equal(metadata.get(`test.array.${id}`), array);
    assert.is((metadata.get(`test.empty.${id}`) as ArrayLike<unknown>).length, 0);
    assert.is(types.get(`test.scalar.${id}`), type);
    assert.is(types.get(`test.array.${id}`), `${type}[]`);
  }
  assert.is(metadata.get("test.string.empty"), "");
  assert.is((metadata.get("test.string.long") as string).length, 70000);
  assert.is(metadata.get("tést.ключ"), "a key beyond ASCII");
});

test("a header longer than the first read is read on, in few steps", async () => {
  const { writeGGUF } = await import("../../src/checkpoint/gguf_writer.ts");
  const pieces: Uint8Array[] = [];
  const tokens = Array.from({ length: 300_000 }, (_, i) => `token ${i} é`);
  const values = Float32Array.from(tokens, (_, i) => -i);
  const sink = { write: async (bytes: Uint8Array) => void pieces.push(bytes.slice()) };
  await writeGGUF(
    sink,
    [
      ["tokens", "string[]", tokens],
      ["values", "f32[]", values],
    ],
    [],
  );
  const source = memoryFiles({ f: Buffer.concat(pieces) });
  const file: SourceFile = await source.open("f");
  const { metadata } = await readGGUF(file);
  assert.is((metadata.get("tokens") as string[]).join(), tokens.join());
  assert.is(String(metadata.get("values")), String(values));
  assert.ok(file.size > 4 * 2 ** 20 && source.counts.read < 2 * file.size, `${source.counts.read} of ${file.size}`);
});

test("a GGUF of another kind of model is refused by name", async () => {
  const bytes = readFileSync(join(forms, "tiny-Q8_0.gguf"));
  const text = bytes.toString("latin1").replace("llama.expert_count", "llama.expert_xxxxx");
  const source = memoryFiles({ "m.gguf": Buffer.from(text, "latin1") });
  try {
    await openCheckpoint(source);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /llama\.expert_count/);
  }
  assert.is(source.counts.closed, 1);
});

test.run();
