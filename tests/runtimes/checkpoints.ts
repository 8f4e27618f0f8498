// A checkpoint of every weight format: the fixtures, and where a fresh clone has no model of a format, one put together
// from the blocks that its quantizer wrote (fixtures/gguf/blocks, gguf_iq/blocks).
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { BitsAndBytesConfig, type BitsAndBytesOptions, type LoadOptions } from "../../src/index.ts";
import { type FormatName, formats, rowBytes } from "../../src/quant/formats.ts";
import { blocksOf, fixture, hasFixture, safetensors } from "../fixtures.ts";

/** Name and path of each, and options. */
export async function checkpoints(): Promise<[name: string, path: string, options?: LoadOptions][]> {
  const found: [string, string, LoadOptions?][] = [];
  for (const name of Object.keys(formats) as FormatName[]) {
    const [model] = [`gguf/models/${name}`, `gguf_iq/models/${name}`, `gguf/forms/tiny-${name}`]
      .map((path) => `fixtures/${path}.gguf`)
      .filter(hasFixture);
    found.push([`GGUF ${name}`, model ? fixture(model) : await compose(name)]);
  }
  found.push(["GGUF Q4_K_M", fixture("fixtures/gguf/models/Q4_K_M.gguf")]);
  const mix = "fixtures/gguf_iq/models/IQ2_XXS_mix.gguf";
  if (hasFixture(mix)) found.push(["GGUF IQ2_XXS_mix", fixture(mix)]);
  found.push(["Hugging Face F32", fixture("fixtures/hf/base")]);
  for (const name of ["f16", "bf16"])
    if (hasFixture(`fixtures/hf/${name}`)) found.push([`Hugging Face ${name}`, fixture(`fixtures/hf/${name}`)]);
  for (const name of ["nf4_double", "int8"])
    if (hasFixture(`fixtures/bnb/${name}`)) found.push([`bitsandbytes ${name}`, fixture(`fixtures/bnb/${name}`)]);
  for (const name of ["gptq_4_32_desc", "gptq_3_128", "gptq_8_128", "awq_4_32", "ct_w4_128", "ct_int8"])
    if (hasFixture(`fixtures/gptq_awq/${name}`)) found.push([name, fixture(`fixtures/gptq_awq/${name}`)]);
  const quantized: BitsAndBytesOptions[] = [
    { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true },
    { load_in_4bit: true },
    { load_in_8bit: true, llm_int8_threshold: 1 },
  ];
  for (const quantization_config of quantized) {
    const kind = new BitsAndBytesConfig(quantization_config).quantization_method();
    found.push([`Hugging Face F32 as ${kind}`, fixture("fixtures/hf/base"), { quantization_config }]);
  }
  return found;
}

/** The shape of a composed model. Every row is whole blocks of 256. */
const [HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, EXPERTS, VOCAB] = [256, 256, 2, 4, 2, 4, 160];

/** Where composed models are, until this process ends. */
let folder: string | undefined;
function temporary(): string {
  if (!folder) {
    const made = mkdtempSync(join(tmpdir(), "tramontane-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return folder;
}

/** A small model whose matrices are of one format. @returns its path, until this process ends */
export async function compose(format: FormatName): Promise<string> {
  const { tensors } = safetensors(blocksOf(format));
  // The rows of Gaussian and uniform weights; the others are extremes.
  const pool = (tensors.packed.data as Uint8Array).subarray(0, 4 * tensors.packed.shape[1]);

  const list: GGUFTensor[] = [];
  const matrix = (name: string, ...shape: number[]) => {
    const bytes = rowBytes(
      formats[format],
      shape.reduce((a, b) => a * b),
    );
    // Each begins at another block, so that no two are alike.
    const { block_bytes } = formats[format];
    const data = new Uint8Array(bytes);
    const start = list.length * 3 * block_bytes;
    for (let i = 0; i < bytes; i++) data[i] = pool[(start + i) % pool.length];
    list.push({ name, format, shape, data: () => [data] });
  };
  const floats = (name: string, value: (i: number) => number, ...shape: number[]) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => value(i));
    list.push({ name, format: "F32", shape, data: () => [new Uint8Array(data.buffer)] });
  };
  const norm = (name: string) => floats(name, (i) => 0.05 + (i % 5) * 0.01, HIDDEN);

  const kv = (HIDDEN / HEADS) * KV_HEADS;
  matrix("token_embd.weight", VOCAB, HIDDEN);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = (name: string) => `blk.${layer}.${name}.weight`;
    norm(at("attn_norm"));
    matrix(at("attn_q"), HIDDEN, HIDDEN);
    matrix(at("attn_k"), kv, HIDDEN);
    matrix(at("attn_v"), kv, HIDDEN);
    matrix(at("attn_output"), HIDDEN, HIDDEN);
    norm(at("ffn_norm"));
    floats(at("ffn_gate_inp"), (i) => ((i * 37) % 101) / 100 - 0.5, EXPERTS, HIDDEN);
    matrix(at("ffn_gate_exps"), EXPERTS, FFN, HIDDEN);
    matrix(at("ffn_up_exps"), EXPERTS, FFN, HIDDEN);
    matrix(at("ffn_down_exps"), EXPERTS, HIDDEN, FFN);
  }
  norm("output_norm.weight");
  matrix("output.weight", VOCAB, HIDDEN);

  const metadata: GGUFPair[] = [
    ["general.architecture", "string", "llama"],
    ["llama.context_length", "u32", 512],
    ["llama.embedding_length", "u32", HIDDEN],
    ["llama.block_count", "u32", LAYERS],
    ["llama.feed_forward_length", "u32", FFN],
    ["llama.attention.head_count", "u32", HEADS],
    ["llama.attention.head_count_kv", "u32", KV_HEADS],
    ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ["llama.rope.dimension_count", "u32", HIDDEN / HEADS],
    ["llama.rope.freq_base", "f32", 1e6],
    ["llama.expert_count", "u32", EXPERTS],
    ["llama.expert_used_count", "u32", 2],
    ["llama.vocab_size", "u32", VOCAB],
  ];
  const path = join(temporary(), `${format}.gguf`);
  const file = openSync(path, "w");
  await writeGGUF({ write: async (bytes) => void writeSync(file, bytes) }, metadata, list);
  closeSync(file);
  return path;
}
