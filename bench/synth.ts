// Writes synthetic Mixtral checkpoints as GGUF: the real shapes with random weights, which every engine opens.
// A pool of random blocks is made once and copied from random places of it, so that files come at the disk's speed.
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { readGGUF } from "../src/checkpoint/gguf.ts";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../src/checkpoint/gguf_writer.ts";
import { saveFile } from "../src/platform/files.ts";
import { currentPlatform } from "../src/platform/index.ts";
import { type FormatName, formats, rowBytes } from "../src/quant/formats.ts";
import type { FileType } from "../src/quant/mixes.ts";
import { ggufNames } from "../src/weights/names.ts";
import { fixture, hasFixture, root } from "../tests/fixtures.ts";
import { randomBlocks, randomWords } from "./blocks.ts";
import { active, experts, formatOf, type Matrix, matrices, type Shape, type ShapeName, shapes } from "./shapes.ts";

const cache = join(root, "bench", "cache");

/** Removes all files that `synthesize` has written. */
export const removeModels = (): void => rmSync(cache, { recursive: true, force: true });

/**
 * Writes the checkpoint unless it is there already.
 * @param weights - the format of all matrices, or a file type, which says each one's
 * @param closed - with gates of −105 or so, the largest of 32 about −87: gated products are 0 or subnormal numbers, or near
 *   to them, as they may be in a real file; Q4_K alone
 * @returns its path
 */
export async function synthesize(name: ShapeName, weights: FormatName | FileType, closed = false): Promise<string> {
  const of = typeof weights === "string" ? weights : `as-${weights.name}`;
  const path = join(cache, `${name}-${of}${closed ? "-closed" : ""}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  // Beside its place first: another bench may be writing the same file. And on the disk when this returns, so that what is
  // measured next does not share it with what is still to be written.
  await saveFile(await currentPlatform(), path, async (file) =>
    writeGGUF(file, await metadata(name, shapes[name]), tensors(shapes[name], weights, closed)),
  );
  return path;
}

export const fileBytes = (path: string): number => statSync(path).size;

/** The mean of embeddings, by which normed values are near 0.87, and what the sum of a row of gates' weights is. */
const EMBEDDED = 3;
const CLOSED = -122;

const poolBytes = 2 ** 25;
const pieceBytes = 2 ** 23;

function tensors(shape: Shape, weights: FormatName | FileType, closed: boolean): GGUFTensor[] {
  const places = randomWords(new Uint32Array(2 ** 16), 2);
  let next = 0;
  const pools = new Map<string, Uint8Array>();
  // Embeddings as large as what the layers add to them: were they smaller, all tokens would soon be alike, and be routed
  // to the same experts.
  const random = (format: FormatName, kind: string) => {
    const blocks = Math.floor(poolBytes / formats[format].block_bytes);
    if (kind === "token_embd") return randomBlocks(formats[format], blocks, 3, 1, closed ? EMBEDDED : 0);
    if (kind === "ffn_gate" && closed) return randomBlocks(formats[format], blocks, 5, 0.005, CLOSED / shape.hidden);
    return randomBlocks(formats[format], blocks, 1, 0.02);
  };
  const pool = (format: FormatName, kind: string): Uint8Array => {
    const key = `${format} ${kind === "token_embd" || (kind === "ffn_gate" && closed) ? kind : ""}`;
    const known = pools.get(key) ?? random(format, kind);
    pools.set(key, known);
    return known;
  };
  const floats = (name: string, dims: number[], value: (i: number) => number): GGUFTensor => ({
    name,
    format: "F32",
    shape: dims,
    data: () => [
      new Uint8Array(Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => value(i)).buffer),
    ],
  });
  const { hidden } = shape;
  // Router logits that differ from token to token: every expert gets its share.
  const spread = (seed: number) => (i: number) => (places[(i * 7 + seed * 4099) % places.length] / 2 ** 32 - 0.5) * 0.1;
  const norm = (name: string) => floats(name, [hidden], () => 1);
  const router = (layer: number) =>
    shape.dense ? [] : [floats(ggufNames.layer(layer).router, [experts, hidden], spread(layer))];
  const matrix = (of: Matrix): GGUFTensor => {
    const format = typeof weights === "string" ? weights : formatOf(weights, of, shape);
    const { block_bytes } = formats[format];
    const piece = Math.floor(pieceBytes / block_bytes) * block_bytes;
    return {
      ...{ name: of.name, format, shape: of.dims },
      *data() {
        const blocks = pool(format, of.kind);
        const half = Math.floor(blocks.length / block_bytes / 2);
        let left = of.dims.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(formats[format], of.dims.at(-1)!);
        while (left > 0) {
          const from = (places[next++ % places.length] % half) * block_bytes;
          const bytes = Math.min(left, piece, blocks.length - from);
          yield blocks.subarray(from, from + bytes);
          left -= bytes;
        }
      },
    };
  };
  return matrices(shape).flatMap((of) => {
    const names = ggufNames.layer(of.layer);
    if (of.kind === "attn_q") return [norm(names.input_layernorm), matrix(of)];
    if (of.kind === "attn_output") return [matrix(of), norm(names.post_attention_layernorm), ...router(of.layer)];
    return of.kind === "output" ? [norm(ggufNames.norm), matrix(of)] : [matrix(of)];
  });
}

async function metadata(name: string, shape: Shape): Promise<GGUFPair[]> {
  return [
    ["general.architecture", "string", "llama"],
    ["general.name", "string", `synthetic ${name}`],
    ["llama.context_length", "u32", 131072],
    ["llama.embedding_length", "u32", shape.hidden],
    ["llama.block_count", "u32", shape.layers],
    ["llama.feed_forward_length", "u32", shape.ffn],
    ["llama.attention.head_count", "u32", shape.heads],
    ["llama.attention.head_count_kv", "u32", shape.kv_heads],
    ["llama.attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ...(shape.window ? [["llama.attention.sliding_window", "u32", shape.window] as const] : []),
    ["llama.rope.dimension_count", "u32", shape.hidden / shape.heads],
    ["llama.rope.freq_base", "f32", 1e6],
    ...(shape.dense
      ? []
      : ([
          ["llama.expert_count", "u32", experts],
          ["llama.expert_used_count", "u32", active],
        ] as const)),
    ["llama.vocab_size", "u32", shape.vocab],
    ...(await vocabulary(shape.vocab)),
  ];
}

/** Mixtral's own vocabulary where it is at hand, else pieces that no text needs, and every byte. */
async function vocabulary(size: number): Promise<GGUFPair[]> {
  const name = "tokenizers/mixtral/vocab.gguf";
  if (size === 32000 && hasFixture(name)) {
    const file = await (await currentPlatform()).open(fixture(name));
    try {
      const { metadata, types } = await readGGUF(file);
      const pairs = [...metadata].map(([key, value]): GGUFPair => [key, types.get(key)!, value]);
      return pairs.filter(([key]) => key.startsWith("tokenizer.") && key !== "tokenizer.chat_template");
    } finally {
      await file.close();
    }
  }
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const special = ["<unk>", "<s>", "</s>", ...bytes];
  const tokens = Array.from({ length: size }, (_, i) => special[i] ?? `▁${i.toString(36)}`);
  return [
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ["tokenizer.ggml.scores", "f32[]", tokens.map((_, i) => (i < special.length ? 0 : -i))],
    // Unknown 2, control 3, byte 6, normal 1.
    ["tokenizer.ggml.token_type", "i32[]", tokens.map((_, i) => [2, 3, 3][i] ?? (i < special.length ? 6 : 1))],
    ["tokenizer.ggml.bos_token_id", "u32", 1],
    ["tokenizer.ggml.eos_token_id", "u32", 2],
    ["tokenizer.ggml.unknown_token_id", "u32", 0],
  ];
}
