// Writes synthetic Mixtral checkpoints as GGUF: the real shapes with random weights, which every engine opens.
// A pool of random blocks is made once and copied from random places of it, so that files come at the disk's speed.
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { readGGUF } from "../src/checkpoint/gguf.ts";
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../src/checkpoint/gguf_writer.ts";
import { saveFile } from "../src/platform/files.ts";
import { currentPlatform } from "../src/platform/index.ts";
import { type FormatName, formats, rowBytes } from "../src/quant/formats.ts";
import { ggufNames } from "../src/weights/names.ts";
import { fixture, hasFixture, root } from "../tests/fixtures.ts";
import { randomBlocks, randomWords } from "./blocks.ts";

export interface Shape {
  readonly hidden: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly vocab: number;
  /** 0: none. */
  readonly window: number;
}

const experts = 8;
const active = 2;

export const shapes = {
  tiny: { hidden: 256, ffn: 512, layers: 2, heads: 4, kv_heads: 2, vocab: 512, window: 64 },
  // Without a window, and with few layers: attention over long prompts in a time that can be waited for.
  long: { hidden: 512, ffn: 1792, layers: 2, heads: 8, kv_heads: 2, vocab: 32000, window: 0 },
  small: { hidden: 512, ffn: 1792, layers: 8, heads: 8, kv_heads: 2, vocab: 32000, window: 4096 },
  mid: { hidden: 2048, ffn: 7168, layers: 8, heads: 32, kv_heads: 8, vocab: 32000, window: 4096 },
  "8x7b": { hidden: 4096, ffn: 14336, layers: 32, heads: 32, kv_heads: 8, vocab: 32000, window: 4096 },
} satisfies Record<string, Shape>;
export type ShapeName = keyof typeof shapes;

const kvWidth = (shape: Shape): number => (shape.hidden / shape.heads) * shape.kv_heads;

/** Weights that one token is multiplied with: of the layers (a prompt's tokens need no more), and of the head. */
export function activeWeights(shape: Shape): { layers: number; head: number } {
  const attention = 2 * shape.hidden * (shape.hidden + kvWidth(shape));
  return {
    layers: shape.layers * (attention + active * 3 * shape.hidden * shape.ffn),
    head: shape.vocab * shape.hidden,
  };
}

/** Bytes of weights that one generated token reads. */
export function activeBytes(shape: Shape, format: FormatName): number {
  const { layers, head } = activeWeights(shape);
  return rowBytes(formats[format], layers + head);
}

const cache = join(root, "bench", "cache");

/** Removes all files that `synthesize` has written. */
export const removeModels = (): void => rmSync(cache, { recursive: true, force: true });

/**
 * Writes the checkpoint unless it is there already.
 * @param closed - with gates of −105 or so, the largest of 32 about −87: gated products are 0 or subnormal numbers, or near
 *   to them, as they may be in a real file; Q4_K alone
 * @returns its path
 */
export async function synthesize(name: ShapeName, format: FormatName, closed = false): Promise<string> {
  const path = join(cache, `${name}-${format}${closed ? "-closed" : ""}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  // Beside its place first: another bench may be writing the same file. And on the disk when this returns, so that what is
  // measured next does not share it with what is still to be written.
  await saveFile(await currentPlatform(), path, async (file) =>
    writeGGUF(file, await metadata(name, shapes[name]), tensors(shapes[name], format, closed)),
  );
  return path;
}

export const fileBytes = (path: string): number => statSync(path).size;

/** The mean of embeddings, by which normed values are near 0.87, and what the sum of a row of gates' weights is. */
const EMBEDDED = 3;
const CLOSED = -122;

const poolBytes = 2 ** 25;
const pieceBytes = 2 ** 23;

function tensors(shape: Shape, format: FormatName, closed: boolean): GGUFTensor[] {
  const { block_bytes } = formats[format];
  const blocks = Math.floor(poolBytes / block_bytes);
  const piece = Math.floor(pieceBytes / block_bytes) * block_bytes;
  // Embeddings as large as what the layers add to them: were they smaller, all tokens would soon be alike, and be routed
  // to the same experts.
  const ordinary = randomBlocks(formats[format], blocks, 1, 0.02);
  const embeddings = randomBlocks(formats[format], blocks, 3, 1, closed ? EMBEDDED : 0);
  const gates = closed ? randomBlocks(formats[format], blocks, 5, 0.005, CLOSED / shape.hidden) : ordinary;
  const places = randomWords(new Uint32Array(2 ** 16), 2);
  let next = 0;
  const matrix = (name: string, dims: number[], pool = ordinary): GGUFTensor => ({
    name,
    format,
    shape: dims,
    *data() {
      let left = dims.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(formats[format], dims.at(-1)!);
      while (left > 0) {
        const from = (places[next++ % places.length] % Math.floor(blocks / 2)) * block_bytes;
        const bytes = Math.min(left, piece, pool.length - from);
        yield pool.subarray(from, from + bytes);
        left -= bytes;
      }
    },
  });
  const floats = (name: string, dims: number[], value: (i: number) => number): GGUFTensor => ({
    name,
    format: "F32",
    shape: dims,
    data: () => [
      new Uint8Array(Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => value(i)).buffer),
    ],
  });
  const { hidden, ffn, vocab } = shape;
  const kv = kvWidth(shape);
  // Router logits that differ from token to token: every expert gets its share.
  const spread = (seed: number) => (i: number) => (places[(i * 7 + seed * 4099) % places.length] / 2 ** 32 - 0.5) * 0.1;
  return [
    matrix(ggufNames.embed_tokens, [vocab, hidden], embeddings),
    ...Array.from({ length: shape.layers }, (_, i) => {
      const names = ggufNames.layer(i);
      const { w1, w2, w3 } = names.merged as { w1: string; w2: string; w3: string };
      return [
        floats(names.input_layernorm, [hidden], () => 1),
        matrix(names.q_proj, [hidden, hidden]),
        matrix(names.k_proj, [kv, hidden]),
        matrix(names.v_proj, [kv, hidden]),
        matrix(names.o_proj, [hidden, hidden]),
        floats(names.post_attention_layernorm, [hidden], () => 1),
        floats(names.router, [experts, hidden], spread(i)),
        matrix(w1, [experts, ffn, hidden], gates),
        matrix(w3, [experts, ffn, hidden]),
        matrix(w2, [experts, hidden, ffn]),
      ];
    }).flat(),
    floats(ggufNames.norm, [hidden], () => 1),
    matrix(`${ggufNames.heads.lm_head}.weight`, [vocab, hidden]),
  ];
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
    ["llama.expert_count", "u32", experts],
    ["llama.expert_used_count", "u32", active],
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
