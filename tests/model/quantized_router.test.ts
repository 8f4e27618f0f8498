// A router of every format: it is dequantized where it is loaded, so that the logits are those of a file with the same
// values as F32, in every bit. The blocks and their values are gguf-py's (fixtures gguf/blocks).
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint, TensorRef } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { formats, rowBytes } from "../../src/quant/formats.ts";
import { blocksOf, fixture, safetensors } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";
import { sameBits } from "./compare.ts";

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);

/** The checkpoint with other bytes in place of each router. */
function withRouter(checkpoint: Checkpoint, format: TensorRef["format"], bytes: Uint8Array): Checkpoint {
  const file = memoryFile("router", bytes);
  const tensors = [...checkpoint.tensors].map(([name, tensor]): [string, TensorRef] => [
    name,
    name.includes("ffn_gate_inp") ? { ...tensor, format, file, offset: 0, bytes: bytes.length } : tensor,
  ]);
  return { ...checkpoint, tensors: new Map(tensors) };
}

test("a quantized router is the router of its values", async () => {
  const checkpoint = await openCheckpoint(await repositoryAt(fixture("fixtures/gguf/models/Q4_K_M.gguf")));
  const [experts, hidden] = checkpoint.tensors.get("blk.0.ffn_gate_inp.weight")!.shape;
  const logitsOf = async (changed: Checkpoint) => {
    await using model = await MixtralForCausalLM.from_checkpoint(changed, { threads: 1 });
    const out = await model({ input_ids: [[1, 20, 300, 7, 5]], output_router_logits: true });
    return [out.logits, ...out.router_logits!].map(({ data }) => data as Float32Array);
  };
  const names = Object.values(formats).filter(({ quantized }) => quantized);
  for (const format of names) {
    const { tensors } = safetensors(blocksOf(format.name));
    // Of what a quantizer wrote, but where the copies have blocks of random bytes alone.
    const [packed, dequantized] = tensors.dequantized
      ? [tensors.packed, tensors.dequantized]
      : [tensors.random_bytes, tensors.random_dequantized];
    const blocks = bytesOf(packed.data).slice(0, experts * rowBytes(format, hidden));
    const values = (dequantized.data as Float32Array).slice(0, experts * hidden);
    const found = await logitsOf(withRouter(checkpoint, format, blocks));
    const expected = await logitsOf(withRouter(checkpoint, formats.F32, bytesOf(values)));
    for (const [i, data] of expected.entries()) assert.ok(sameBits(found[i], data), `${format.name}, output ${i}`);
  }
  assert.is(names.length, 22);
  await checkpoint.close();
});

test.run();
