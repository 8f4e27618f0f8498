// File types: which format each tensor of a GGUF gets when it is quantized, by llama.cpp's names, numbers and rules.
// Source: the types that llama-quantize chooses (fixtures/quantize/mix.json), whose names users know.
import type { FormatName } from "./formats.ts";

/** What a tensor is, by GGUF's name without `blk.N.` and `.weight`. */
export type TensorKind =
  | "token_embd"
  | "output"
  | "attn_q"
  | "attn_k"
  | "attn_v"
  | "attn_output"
  | "ffn_gate"
  | "ffn_up"
  | "ffn_down";

/** What the rules ask of a model. */
export interface MixShape {
  readonly layers: number;
  readonly heads: number;
  readonly kv_heads: number;
  /** 1 where there is one feed-forward block. */
  readonly experts: number;
  /** Whether there is no `output.weight`: the embedding is both then. */
  readonly tied: boolean;
}

/** A tensor within a model. */
export interface MixTensor {
  readonly kind: TensorKind;
  readonly layer: number;
  readonly cols: number;
}

/** One file type. */
export interface FileType {
  readonly name: string;
  /** `general.file_type`. */
  readonly id: number;
  /** The format of most tensors. */
  readonly base: FormatName;
}

const fileType = (name: string, id: number, base: string): FileType => ({ name, id, base: base as FormatName });

export const fileTypes: readonly FileType[] = [
  ...[fileType("F32", 0, "F32"), fileType("F16", 1, "F16"), fileType("BF16", 32, "BF16"), fileType("Q8_0", 7, "Q8_0")],
  ...[
    fileType("Q4_0", 2, "Q4_0"),
    fileType("Q4_1", 3, "Q4_1"),
    fileType("Q5_0", 8, "Q5_0"),
    fileType("Q5_1", 9, "Q5_1"),
  ],
  ...[fileType("Q2_K", 10, "Q2_K"), fileType("Q2_K_S", 21, "Q2_K")],
  ...[fileType("Q3_K_S", 11, "Q3_K"), fileType("Q3_K_M", 12, "Q3_K"), fileType("Q3_K_L", 13, "Q3_K")],
  ...[fileType("Q4_K_S", 14, "Q4_K"), fileType("Q4_K_M", 15, "Q4_K")],
  ...[fileType("Q5_K_S", 16, "Q5_K"), fileType("Q5_K_M", 17, "Q5_K"), fileType("Q6_K", 18, "Q6_K")],
  ...[fileType("IQ1_S", 24, "IQ1_S"), fileType("IQ1_M", 31, "IQ1_M")],
  ...[fileType("IQ2_XXS", 19, "IQ2_XXS"), fileType("IQ2_XS", 20, "IQ2_XS")],
  ...[fileType("IQ2_S", 28, "IQ2_XS"), fileType("IQ2_M", 29, "IQ2_S")],
  ...[fileType("IQ3_XXS", 23, "IQ3_XXS"), fileType("IQ3_XS", 22, "IQ3_S")],
  ...[fileType("IQ3_S", 26, "IQ3_S"), fileType("IQ3_M", 27, "IQ3_S")],
  ...[fileType("IQ4_NL", 25, "IQ4_NL"), fileType("IQ4_XS", 30, "IQ4_XS")],
  ...[fileType("TQ1_0", 36, "TQ1_0"), fileType("TQ2_0", 37, "TQ2_0"), fileType("MXFP4_MOE", 38, "MXFP4")],
];

const aliases: Readonly<Record<string, string>> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/** The file type of a name, in any case, or of a number; undefined where there is none. */
export function fileTypeOf(name: string): FileType | undefined {
  const upper = name.toUpperCase();
  const wanted = aliases[upper] ?? upper;
  return fileTypes.find((type) => type.name === wanted || String(type.id) === wanted);
}

/** Whether a tensor must not have a format without its own entry in an importance matrix: what comes of it is of no use. */
export const needsImportance = (format: FormatName, kind: TensorKind): boolean =>
  /^(IQ1_S|IQ2_XX?S)$/.test(format) || (/^IQ[12]|^IQ3_XXS/.test(format) && kind !== "token_embd" && kind !== "output");

/**
 * The format of a tensor in a file type.
 * @param imatrix - whether there is an importance matrix
 * @param pure - all tensors get the base format
 */
export function formatIn(
  type: FileType,
  tensor: MixTensor,
  shape: MixShape,
  imatrix: boolean,
  pure = false,
): FormatName {
  if (["F32", "F16", "BF16"].includes(type.name) || pure) return type.base;
  const isOutput = tensor.kind === "output" || (tensor.kind === "token_embd" && shape.tied);
  return isOutput
    ? outputFormat(type, tensor)
    : tensor.kind === "token_embd"
      ? embeddingFormat(type)
      : layerFormat(type, tensor, shape, imatrix);
}

/** Of the matrix that gives logits, whose errors nothing evens out. */
function outputFormat({ name, base }: FileType, { cols }: MixTensor): FormatName {
  if (name === "Q8_0" || name === "MXFP4_MOE" || cols % blockOf(base) !== 0) return "Q8_0";
  return /^IQ[12]|^IQ3_XXS/.test(name) ? "Q5_K" : "Q6_K";
}

function embeddingFormat({ name, base }: FileType): FormatName {
  if (/^TQ/.test(name)) return "Q4_K";
  if (/^(IQ1_|IQ2_XX?S$)/.test(name)) return "Q2_K";
  if (/^(IQ2_[SM]|IQ3_XXS)$/.test(name)) return "IQ3_S";
  return name === "MXFP4_MOE" ? "Q8_0" : base;
}

function layerFormat(type: FileType, tensor: MixTensor, shape: MixShape, imatrix: boolean): FormatName {
  const { name, base } = type;
  const { kind } = tensor;
  const { layers, heads, kv_heads, experts } = shape;
  if (name === "MXFP4_MOE") return kind.startsWith("ffn") && experts > 1 ? "MXFP4" : "Q8_0";
  const few_bits = /^IQ[12]/.test(name); // these go their own way with attention
  let format = mixed(type, tensor, shape, imatrix);
  if (kind === "attn_v" && layers === 80 && heads > kv_heads && !few_bits && (format === "Q3_K" || format === "Q4_K"))
    format = "Q5_K";
  if (experts !== 8) return format;
  // Eight experts share attention, which is a thirtieth of the file.
  if (kind === "attn_k") return few_bits ? "Q4_K" : "Q8_0";
  if (kind === "attn_v") return few_bits ? format : "Q8_0";
  return kind === "attn_output" ? (fiveBitOutput.test(name) ? "Q5_K" : base) : format;
}

/** Of these eight experts' attn_output has five bits. */
const fiveBitOutput = /^(Q2_K$|Q3_K_[SM]|Q4_K_[SM]|IQ)/;

/** The rule of a file type, one line for each. */
function mixed(
  { name, base }: FileType,
  { kind, layer: i }: MixTensor,
  { layers: n, heads, kv_heads, experts }: MixShape,
  imatrix: boolean,
): FormatName {
  const grouped = heads / kv_heads >= 4;
  const eighth = i < Math.floor(n / 8);
  const more = eighth || i >= Math.floor((7 * n) / 8) || (i - Math.floor(n / 8)) % 3 === 2;
  const down = kind === "ffn_down";
  const v = kind === "attn_v";
  const out = kind === "attn_output";
  const keys = kind === "attn_q" || kind === "attn_k";
  switch (name) {
    case "Q4_0":
      return down && eighth && imatrix ? "Q4_1" : base;
    case "Q5_0":
      return down && eighth && imatrix ? "Q5_1" : base;
    case "Q2_K":
      return v ? (grouped ? "Q4_K" : "Q3_K") : down || out ? "Q3_K" : base;
    case "Q2_K_S":
      return (v && grouped) || (down && eighth) ? "Q4_K" : base;
    case "Q3_K_M":
      if (v) return i < 2 ? "Q5_K" : "Q4_K";
      return down ? (i < Math.floor(n / 16) ? "Q5_K" : "Q4_K") : out ? "Q4_K" : base;
    case "Q3_K_L":
      return v || down || out ? "Q5_K" : base;
    case "Q4_K_S":
      return (v && i < 4) || (down && eighth) ? "Q5_K" : base;
    case "Q4_K_M":
    case "Q5_K_M":
      return (v || down) && more ? "Q6_K" : base;
    case "IQ4_NL":
    case "IQ4_XS":
      return (v && grouped) || (down && eighth && !imatrix) ? "Q5_K" : base;
    case "IQ3_S":
      return v && grouped ? "Q4_K" : base;
    case "IQ3_M":
      return v || out || (down && (eighth || (experts === 8 && more))) ? "Q4_K" : base;
    case "IQ3_XS":
      if (v) return grouped ? "Q4_K" : base;
      if (keys) return "IQ3_XXS";
      return (kind === "ffn_gate" || kind === "ffn_up") && !eighth && i < Math.floor((7 * n) / 8) ? "IQ3_XXS" : base;
    case "IQ3_XXS":
      if (v) return grouped ? "Q4_K" : imatrix ? base : "IQ3_S";
      if (keys) return "IQ2_S";
      if (out) return "IQ3_S";
      return down && !imatrix ? (eighth ? "Q4_K" : "Q3_K") : base;
    case "IQ2_S":
    case "IQ2_M":
      if (v) return grouped || experts >= 4 ? "Q4_K" : "IQ3_S";
      return out || (down && eighth) ? "IQ3_S" : base;
    case "IQ2_XXS":
    case "IQ2_XS":
    case "IQ1_S":
    case "IQ1_M":
      if (v) return grouped || experts >= 4 ? "Q4_K" : "Q2_K";
      if (down && eighth) return "Q2_K";
      return out && name.startsWith("IQ1") ? "IQ2_XXS" : base;
    default:
      return base;
  }
}

/** Values of a block: only whole ones fit. */
const blockOf = (format: FormatName): number =>
  /^(Q\d_K|IQ[123]|IQ4_XS|TQ)/.test(format) ? 256 : /^(F32|F16|BF16)$/.test(format) ? 1 : 32;

/** What a format gives way to where columns are no multiple of its block. */
export function fitting(format: FormatName, cols: number): FormatName {
  if (cols % blockOf(format) === 0) return format;
  const smaller: FormatName = /^IQ/.test(format)
    ? "IQ4_NL"
    : /^(Q2_K|Q3_K|TQ)/.test(format)
      ? "Q4_0"
      : (({ Q4_K: "Q5_0", Q5_K: "Q5_1", Q6_K: "Q8_0" } as Partial<Record<FormatName, FormatName>>)[format] ?? format);
  return cols % blockOf(smaller) === 0 ? smaller : "F16";
}
