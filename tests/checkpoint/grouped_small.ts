// Matrices as GPTQ, AWQ and compressed-tensors store them, from codes that are known, and a small Mixtral of them: the
// formulae of fixtures/gptq_awq/README.md, a code at a time.
import { bnbFile, type SmallTensor } from "./bnb_small.ts";
import { smallConfig } from "./safetensors.ts";

export type Tensors = Record<string, SmallTensor>;

export interface GroupedCase {
  layout: "gptq" | "gptq_v2" | "awq" | "packed" | "int8";
  bits: number;
  rows: number;
  cols: number;
  /** Inputs of a group, or -1. */
  group: number;
  symmetric?: boolean;
  /** The inputs' groups, where they are not in order. */
  index?: readonly number[];
}

/** The same numbers in every run. */
export function numbers(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Streams of bits: `words` in all, code i of stream s from bit i · bits of the words place(s, 0), place(s, 1), … on. */
function packBits(
  words: number,
  bits: number,
  streams: readonly (readonly number[])[],
  place: (stream: number, word: number) => number,
): Uint8Array {
  const out = new Uint32Array(words);
  for (const [s, codes] of streams.entries())
    for (const [i, code] of codes.entries())
      for (let b = 0; b < bits; b++) {
        const bit = i * bits + b;
        if ((code >> b) & 1) out[place(s, Math.floor(bit / 32))] |= 1 << (bit % 32);
      }
  return new Uint8Array(out.buffer);
}

/** The bits of an f16, or of a bf16, of a power of two times up to 1.75, and its value. */
function scaleOf(draw: (below: number) => number, half: boolean): [bits: number, value: number] {
  const [exponent, fraction] = [draw(6) - 9, draw(4)];
  const bits = half ? ((exponent + 15) << 10) | (fraction << 8) : ((exponent + 127) << 7) | (fraction << 5);
  return [bits, (1 + fraction / 4) * 2 ** exponent];
}

const i32 = (shape: number[], bytes: Uint8Array): SmallTensor => ({ dtype: "I32", shape, bytes });
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const transposed = (matrix: readonly (readonly number[])[]): number[][] =>
  matrix[0].map((_, i) => matrix.map((row) => row[i]));

/** Which of eight rows each nibble of AWQ's is of. */
const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7];

/** A matrix's tensors, and what it stands for, f32 (rows, cols). */
export function groupedMatrix(
  module: string,
  of: GroupedCase,
  seed: number,
): { tensors: Tensors; values: Float32Array } {
  const { layout, bits, rows, cols, symmetric = false, index } = of;
  const draw = numbers(seed);
  const group = of.group === -1 ? cols : of.group;
  const groups = Math.ceil(cols / group);
  const middle = 2 ** (bits - 1);
  const groupOf = (i: number) => (index ? index[i] : Math.floor(i / group));
  const codes = range(rows).map(() => range(cols).map(() => draw(2 ** bits)));
  // GPTQ's first version cannot store a zero of 0.
  const least = layout === "gptq" ? 1 : 0;
  const zeros = range(rows).map(() => range(groups).map(() => (symmetric ? middle : least + draw(2 ** bits - least))));
  const by_row = layout === "packed" || layout === "int8";
  const scales = range(rows).map(() => range(groups).map(() => scaleOf(draw, !by_row)));
  const values = Float32Array.from(
    codes.flatMap((row, o) => row.map((q, i) => scales[o][groupOf(i)][1] * (q - zeros[o][groupOf(i)]))),
  );
  const scaleBits = scales.map((row) => row.map(([bits]) => bits));
  const scale = (dtype: string, shape: number[]): SmallTensor => {
    const halves = Uint16Array.from((by_row ? scaleBits : transposed(scaleBits)).flat());
    return { dtype, shape, bytes: new Uint8Array(halves.buffer) };
  };
  const list = index && i32([cols], new Uint8Array(Int32Array.from(index).buffer));
  const words = (n: number) => Math.ceil((n * bits) / 32);
  if (layout === "int8") {
    const bytes = new Uint8Array(Int8Array.from(codes.flat(), (q) => q - 128).buffer);
    return {
      tensors: {
        [`${module}.weight`]: { dtype: "I8", shape: [rows, cols], bytes },
        [`${module}.weight_scale`]: scale("BF16", [rows, groups]),
      },
      values,
    };
  }
  if (layout === "packed") {
    const size = new Uint8Array(BigInt64Array.from([BigInt(rows), BigInt(cols)]).buffer);
    const [w, z] = [words(cols), words(rows)];
    const point = packBits(z * groups, bits, transposed(zeros), (g, word) => word * groups + g);
    return {
      tensors: {
        [`${module}.weight_packed`]: i32(
          [rows, w],
          packBits(rows * w, bits, codes, (r, word) => r * w + word),
        ),
        [`${module}.weight_scale`]: scale("BF16", [rows, groups]),
        [`${module}.weight_shape`]: { dtype: "I64", shape: [2], bytes: size },
        ...(symmetric ? {} : { [`${module}.weight_zero_point`]: i32([z, groups], point) }),
        ...(list && { [`${module}.weight_g_idx`]: list }),
      },
      values,
    };
  }
  const w = words(rows);
  const nibbles = (lines: readonly (readonly number[])[]) => {
    const moved = lines.map((line) => line.map((_, at) => line[8 * Math.floor(at / 8) + awqOrder[at % 8]]));
    return packBits(lines.length * w, 4, moved, (line, word) => line * w + word);
  };
  const stored = transposed(zeros.map((row) => row.map((z) => z - least)));
  const tensors =
    layout === "awq"
      ? {
          [`${module}.qweight`]: i32([cols, w], nibbles(transposed(codes))),
          [`${module}.qzeros`]: i32([groups, w], nibbles(stored)),
        }
      : {
          [`${module}.qweight`]: i32(
            [words(cols), rows],
            packBits(words(cols) * rows, bits, codes, (r, word) => word * rows + r),
          ),
          [`${module}.qzeros`]: i32(
            [groups, w],
            packBits(groups * w, bits, stored, (g, word) => g * w + word),
          ),
          ...(list && { [`${module}.g_idx`]: list }),
        };
  return { tensors: { ...tensors, [`${module}.scales`]: scale("F16", [groups, rows]) }, values };
}

/** Groups of inputs in no order, each of its size. */
export function shuffledGroups(cols: number, group: number, seed: number): number[] {
  const draw = numbers(seed);
  const list = range(cols).map((i) => Math.floor(i / group));
  for (let i = cols - 1; i > 0; i--) {
    const j = draw(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** What config.json says of a case. */
export function quantizationConfig({ layout, bits, group, symmetric = false, index }: GroupedCase): object {
  if (layout === "awq") return { quant_method: "awq", bits, group_size: group, version: "gemm", zero_point: true };
  if (layout === "gptq" || layout === "gptq_v2")
    return {
      ...{ quant_method: "gptq", bits, group_size: group, sym: symmetric, desc_act: index !== undefined },
      checkpoint_format: layout,
    };
  const strategy = group === -1 ? "channel" : "group";
  const size = group === -1 ? {} : { group_size: group };
  const actorder = index ? "group" : null;
  const weights = { num_bits: bits, type: "int", symmetric, strategy, ...size, actorder };
  return {
    quant_method: "compressed-tensors",
    format: layout === "int8" ? "int-quantized" : "pack-quantized",
    config_groups: { group_0: { targets: ["Linear"], weights } },
    ignore: ["lm_head"],
  };
}

/** A Mixtral with rows of 128 and 256, whose attention and experts are of one case; its shape is the model's. */
export function groupedModel(of: Omit<GroupedCase, "rows" | "cols">): { config: object; tensors: Tensors } {
  const [H, I, KV, V, E] = [128, 256, 64, 40, 2];
  const tensors: Tensors = {};
  const draw = numbers(7);
  const plain = (name: string, ...shape: number[]) => {
    const size = shape.reduce((a, b) => a * b);
    const values = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : draw(201) / 100 - 1));
    tensors[name] = { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
  };
  const quantized = (name: string, rows: number, cols: number) => {
    const index = of.index && shuffledGroups(cols, of.group, cols + rows);
    Object.assign(
      tensors,
      groupedMatrix(name, { ...of, rows, cols, ...(index && { index }) }, 1 + draw(2 ** 30)).tensors,
    );
  };
  const layer = "model.layers.0";
  plain("model.embed_tokens.weight", V, H);
  plain("lm_head.weight", V, H);
  for (const norm of ["model.norm", `${layer}.input_layernorm`, `${layer}.post_attention_layernorm`])
    plain(`${norm}.weight`, H);
  plain(`${layer}.block_sparse_moe.gate.weight`, E, H);
  for (const name of ["q_proj", "o_proj"]) quantized(`${layer}.self_attn.${name}`, H, H);
  for (const name of ["k_proj", "v_proj"]) quantized(`${layer}.self_attn.${name}`, KV, H);
  for (let e = 0; e < E; e++) {
    const expert = `${layer}.block_sparse_moe.experts.${e}`;
    quantized(`${expert}.w1`, I, H);
    quantized(`${expert}.w3`, I, H);
    quantized(`${expert}.w2`, H, I);
  }
  const config = {
    ...{ ...smallConfig, vocab_size: V, hidden_size: H, intermediate_size: I, num_attention_heads: 4 },
    ...{ num_key_value_heads: 2, quantization_config: quantizationConfig({ ...of, rows: 0, cols: 0 }) },
  };
  return { config, tensors };
}

export const groupedFile = bnbFile;

/** A model of each kind, GPTQ's with inputs in an order of each matrix's own. */
export const smallGrouped = {
  gptq: { layout: "gptq", bits: 4, group: 32, symmetric: true, index: [] },
  awq: { layout: "awq", bits: 4, group: 64 },
  packed: { layout: "packed", bits: 4, group: 32 },
  int8: { layout: "int8", bits: 8, group: -1, symmetric: true },
} as const satisfies Readonly<Record<string, Omit<GroupedCase, "rows" | "cols">>>;
