// The shapes of the models that are measured, and what their matrices take: in a file, and for one token.
import { type FormatName, formats, rowBytes } from "../src/quant/formats.ts";
import { type FileType, formatIn, type TensorKind } from "../src/quant/mixes.ts";
import { ggufNames } from "../src/weights/names.ts";

export interface Shape {
  readonly hidden: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly vocab: number;
  /** 0: none. */
  readonly window: number;
  /** One feed-forward block in place of the experts. */
  readonly dense?: true;
}

export const experts = 8;
export const active = 2;

export const shapes = {
  tiny: { hidden: 256, ffn: 512, layers: 2, heads: 4, kv_heads: 2, vocab: 512, window: 64 },
  // Without a window, and with few layers: attention over long prompts in a time that can be waited for.
  long: { hidden: 512, ffn: 1792, layers: 2, heads: 8, kv_heads: 2, vocab: 32000, window: 0 },
  small: { hidden: 512, ffn: 1792, layers: 8, heads: 8, kv_heads: 2, vocab: 32000, window: 4096 },
  mid: { hidden: 2048, ffn: 7168, layers: 8, heads: 32, kv_heads: 8, vocab: 32000, window: 4096 },
  "8x7b": { hidden: 4096, ffn: 14336, layers: 32, heads: 32, kv_heads: 8, vocab: 32000, window: 4096 },
  "8x22b": { hidden: 6144, ffn: 16384, layers: 56, heads: 48, kv_heads: 8, vocab: 32000, window: 0 },
  /** Mistral 7B from its version 0.3 on. */
  "7b": { hidden: 4096, ffn: 14336, layers: 32, heads: 32, kv_heads: 8, vocab: 32768, window: 0, dense: true },
} satisfies Record<string, Shape>;
export type ShapeName = keyof typeof shapes;

export const kvWidth = (shape: Shape): number => (shape.hidden / shape.heads) * shape.kv_heads;

/** Weights that one token is multiplied with: of the layers (a prompt's tokens need no more), and of the head. */
export function activeWeights(shape: Shape): { layers: number; head: number } {
  const attention = 2 * shape.hidden * (shape.hidden + kvWidth(shape));
  return {
    layers: shape.layers * (attention + (shape.dense ? 1 : active) * 3 * shape.hidden * shape.ffn),
    head: shape.vocab * shape.hidden,
  };
}

/** Bytes of weights that one generated token reads. */
export function activeBytes(shape: Shape, format: FormatName): number {
  const { layers, head } = activeWeights(shape);
  return rowBytes(formats[format], layers + head);
}

export interface Matrix {
  /** GGUF's. */
  readonly name: string;
  readonly kind: TensorKind;
  readonly layer: number;
  /** (experts?, rows, columns) */
  readonly dims: number[];
}

/** All matrices of a model, in the order of the forward pass. */
export function matrices(shape: Shape): Matrix[] {
  const { hidden, ffn, vocab, layers, dense } = shape;
  const kv = kvWidth(shape);
  const block = (rows: number, cols: number) => (dense ? [rows, cols] : [experts, rows, cols]);
  const of = (layer: number): Matrix[] => {
    const names = ggufNames.layer(layer);
    const { w1, w2, w3 } = dense ? names.dense : (names.merged as typeof names.dense);
    return [
      { name: names.q_proj, kind: "attn_q", layer, dims: [hidden, hidden] },
      { name: names.k_proj, kind: "attn_k", layer, dims: [kv, hidden] },
      { name: names.v_proj, kind: "attn_v", layer, dims: [kv, hidden] },
      { name: names.o_proj, kind: "attn_output", layer, dims: [hidden, hidden] },
      { name: w1, kind: "ffn_gate", layer, dims: block(ffn, hidden) },
      { name: w3, kind: "ffn_up", layer, dims: block(ffn, hidden) },
      { name: w2, kind: "ffn_down", layer, dims: block(hidden, ffn) },
    ];
  };
  return [
    { name: ggufNames.embed_tokens, kind: "token_embd", layer: 0, dims: [vocab, hidden] },
    ...Array.from({ length: layers }, (_, layer) => of(layer)).flat(),
    { name: `${ggufNames.heads.lm_head}.weight`, kind: "output", layer: 0, dims: [vocab, hidden] },
  ];
}

/** A matrix' format in a file type, made with an importance matrix. */
export function formatOf(type: FileType, { kind, layer, dims }: Matrix, shape: Shape): FormatName {
  const { layers, heads, kv_heads, dense } = shape;
  const mix = { layers, heads, kv_heads, experts: dense ? 1 : experts, tied: false };
  return formatIn(type, { kind, layer, cols: dims.at(-1)! }, mix, true);
}

/** Bytes of all weights in a file type, and those that one generated token reads, by format. */
export function sizesIn(type: FileType, shape: Shape): { all: number; read: Map<FormatName, number> } {
  const { hidden, layers, dense } = shape;
  let all = 4 * hidden * (1 + layers * (2 + (dense ? 0 : experts))); // norms and routers
  const read = new Map<FormatName, number>();
  for (const matrix of matrices(shape)) {
    const { kind, dims } = matrix;
    const format = formatOf(type, matrix, shape);
    const bytes = dims.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(formats[format], dims.at(-1)!);
    all += bytes;
    const share = kind === "token_embd" ? 0 : dims.length === 3 ? active / experts : 1;
    if (share) read.set(format, (read.get(format) ?? 0) + share * bytes);
  }
  return { all, read };
}
