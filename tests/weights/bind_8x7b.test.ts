// The real Mixtral 8x7B, Q4_0, as a GGUF of 26 GB that only has its header: written by the streaming writer to a sink
// that keeps nothing else, then opened and bound. Places beyond 4 GiB must be exact, and opening must be quick.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { type FormatName, formats, rowBytes } from "../../src/quant/formats.ts";
import { bind, headOf } from "../../src/weights/bind.ts";
import { memoryFiles } from "../repositories.ts";
import { allMatrices, stored } from "./matrices.ts";

const [V, H, I, L, E] = [32000, 4096, 14336, 32, 8];
const [heads, kvHeads, D] = [32, 8, 128];

const metadata: GGUFPair[] = [
  ["general.architecture", "string", "llama"],
  ["general.alignment", "u32", 4096],
  ["llama.context_length", "u32", 32768],
  ["llama.embedding_length", "u32", H],
  ["llama.block_count", "u32", L],
  ["llama.feed_forward_length", "u32", I],
  ["llama.attention.head_count", "u32", heads],
  ["llama.attention.head_count_kv", "u32", kvHeads],
  ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
  ["llama.rope.freq_base", "f32", 1e6],
  ["llama.expert_count", "u32", E],
  ["llama.expert_used_count", "u32", 2],
  ["tokenizer.ggml.tokens", "string[]", Array.from({ length: V }, (_, i) => `<${i}>`)],
];

const piece = new Uint8Array(2 ** 26);

/** A tensor of zeros, all pieces of which are the same memory. */
function zeros(name: string, format: FormatName, shape: number[]): GGUFTensor {
  const bytes = shape.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(formats[format], shape.at(-1)!);
  function* data() {
    for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
  }
  return { name, format, shape, data };
}

const layer = (i: number): GGUFTensor[] => [
  zeros(`blk.${i}.attn_norm.weight`, "F32", [H]),
  zeros(`blk.${i}.attn_q.weight`, "Q4_0", [heads * D, H]),
  zeros(`blk.${i}.attn_k.weight`, "Q4_0", [kvHeads * D, H]),
  zeros(`blk.${i}.attn_v.weight`, "Q4_0", [kvHeads * D, H]),
  zeros(`blk.${i}.attn_output.weight`, "Q4_0", [H, heads * D]),
  zeros(`blk.${i}.ffn_norm.weight`, "F32", [H]),
  zeros(`blk.${i}.ffn_gate_inp.weight`, "F32", [E, H]),
  zeros(`blk.${i}.ffn_gate_exps.weight`, "Q4_0", [E, I, H]),
  zeros(`blk.${i}.ffn_up_exps.weight`, "Q4_0", [E, I, H]),
  zeros(`blk.${i}.ffn_down_exps.weight`, "Q4_0", [E, H, I]),
];

test("the 8x7B's header is written, opened and bound, with exact places beyond 4 GiB", async () => {
  const tensors = [
    zeros("token_embd.weight", "Q4_0", [V, H]),
    ...Array.from({ length: L }, (_, i) => layer(i)).flat(),
    zeros("output_norm.weight", "F32", [H]),
    zeros("output.weight", "Q6_K", [V, H]),
  ];
  let header: Uint8Array | undefined;
  let written = 0;
  const write = async (bytes: Uint8Array) => {
    header ??= bytes.slice();
    written += bytes.length;
  };
  const size = await writeGGUF({ write }, metadata, tensors);
  assert.is(size, written);

  // The reader takes more than the header at first: what follows is zeros.
  const inner = memoryFiles({ "m.gguf": Buffer.concat([header!, new Uint8Array(2 ** 22)]) });
  const repository: Repository = { ...inner, open: async (name) => ({ ...(await inner.open(name)), size }) };
  const start = performance.now();
  const checkpoint = await openCheckpoint(repository);
  const weights = bind(checkpoint, headOf(checkpoint));
  const ms = performance.now() - start;

  const matrices = allMatrices(weights).sort(([, a], [, b]) => a.offset - b.offset);
  assert.is(matrices.length, 3 + L * (7 + 3 * E));
  let end = header!.length;
  for (const [role, { offset, bytes }] of matrices) {
    // Expert by expert and tensor by tensor, with no more than the padding to the next page between.
    assert.ok(offset >= end && offset - end < 4096, role);
    end = offset + bytes;
  }
  assert.ok(size - end < 4096);
  const { w1, w2, w3 } = weights.layers[31].experts[7];
  assert.is(w1.bytes + w2.bytes + w3.bytes, 99_090_432);
  assert.ok(stored(w1).offset > 2 ** 34);
  assert.ok(inner.counts.read <= 4 * 2 ** 20);
  await checkpoint.close();
  console.log(
    `# 8x7B header: ${(size / 1e9).toFixed(2)} GB, ${matrices.length} matrices, opened and bound in ${ms.toFixed(0)} ms`,
  );
});

test.run();
