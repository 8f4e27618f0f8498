// The option `dtype`: a model's matrices in other formats than the file has, encoded while it loads.
import { type Imatrix, importanceOf } from "../checkpoint/imatrix.ts";
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { formats, rowBytes } from "../quant/formats.ts";
import {
  type FileType,
  fileTypeOf,
  fileTypes,
  fitting,
  formatIn,
  type MixShape,
  needsImportance,
  type TensorKind,
} from "../quant/mixes.ts";
import type { MatrixRef, MixtralWeights } from "./weights.ts";

/** Hugging Face's names of plain floats. */
const aliases: Readonly<Record<string, string>> = { float32: "F32", float16: "F16", bfloat16: "BF16" };

/** The file type that a dtype names, in any case; undefined where none does. */
export const typeOfDtype = (dtype: string): FileType | undefined =>
  /^\d/.test(dtype) ? undefined : fileTypeOf(aliases[dtype.toLowerCase()] ?? dtype);

/** What may be given as a dtype, for messages. */
export const dtypes: readonly string[] = ["auto", ...fileTypes.map(({ name }) => name.toLowerCase())];

/**
 * A model's weights, each matrix in the format that a GGUF of the type would have it in; norms and routers are f32 in any
 * case.
 * @throws {@link InputError} when a matrix is quantized already, or would need an importance matrix, or one was given that
 *   is another model's; CheckpointError when its sizes are
 */
export function withDtype(
  weights: MixtralWeights,
  dtype: string | undefined,
  shape: MixShape,
  imatrix?: Imatrix,
): MixtralWeights {
  if (dtype === undefined || dtype === "auto") return weights;
  const type = typeOfDtype(dtype)!;
  let used = 0;
  const encoded = (matrix: MatrixRef, kind: TensorKind, layer = 0, expert?: number): MatrixRef => {
    const importance = imatrix && columnsOf(imatrix, matrix, kind, layer, shape.experts, expert);
    if (importance) used++;
    return encodedAs(type, matrix, kind, layer, shape, imatrix, importance);
  };
  const embed_tokens = encoded(weights.embed_tokens, "token_embd");
  const { head } = weights;
  // A matrix that has two roles is one matrix still; heads of classifiers are small, and stay.
  const outputs =
    head?.weight === weights.embed_tokens
      ? embed_tokens
      : head?.name === "lm_head"
        ? encoded(head.weight, "output")
        : head?.weight;
  const layers = weights.layers.map((layer, i) => ({
    ...layer,
    q_proj: encoded(layer.q_proj, "attn_q", i),
    k_proj: encoded(layer.k_proj, "attn_k", i),
    v_proj: encoded(layer.v_proj, "attn_v", i),
    o_proj: encoded(layer.o_proj, "attn_output", i),
    experts: layer.experts.map(({ w1, w3, w2 }, e) => ({
      w1: encoded(w1, "ffn_gate", i, e),
      w3: encoded(w3, "ffn_up", i, e),
      w2: encoded(w2, "ffn_down", i, e),
    })),
  }));
  if (imatrix && used === 0) throw new InputError(`imatrix: ${imatrix.file} has no entry for a weight of this model`);
  return { ...weights, embed_tokens, head: head && { ...head, weight: outputs! }, layers };
}

/** How much the columns of a matrix weigh, by GGUF's name of it. */
function columnsOf(
  imatrix: Imatrix,
  { cols }: MatrixRef,
  kind: TensorKind,
  layer: number,
  experts: number,
  expert: number | undefined,
): Float32Array | undefined {
  if (kind === "token_embd" || kind === "output") return importanceOf(imatrix, `${kind}.weight`, 1, cols);
  if (expert === undefined) return importanceOf(imatrix, `blk.${layer}.${kind}.weight`, 1, cols);
  const name = `blk.${layer}.${kind}${experts > 1 ? "_exps" : ""}.weight`;
  return importanceOf(imatrix, name, experts, cols)?.subarray(expert * cols, (expert + 1) * cols);
}

function encodedAs(
  type: FileType,
  matrix: MatrixRef,
  kind: TensorKind,
  layer: number,
  shape: MixShape,
  imatrix: Imatrix | undefined,
  importance: Float32Array | undefined,
): MatrixRef {
  const { name, rows, cols } = matrix;
  const wanted = fitting(formatIn(type, { kind, layer, cols }, shape, imatrix !== undefined), cols);
  const format = formats[wanted];
  // What a library has quantized stays so beside floats of any kind, as in transformers.
  if (matrix.format === format || (matrix.recipe && !format.quantized)) return matrix;
  const where = `${showName(name)}: ${matrix.format.name} [${rows}, ${cols}]`;
  if (matrix.recipe || (matrix.format.quantized && format.quantized))
    throw new InputError(
      `dtype: ${where} is quantized already, and as ${wanted} would be so twice: take the model in full precision`,
    );
  if (!importance && (needsImportance(wanted, kind) || (type.name === "Q2_K_S" && !imatrix)))
    throw new InputError(
      `dtype: ${where}: ${wanted} needs an importance matrix, ${imatrix ? `which ${imatrix.file} does not have for it` : "the option imatrix"}`,
    );
  const { file, offset, bytes, format: from } = matrix;
  const recipe = { maker: "encode", parts: [{ file, offset, bytes }], from, importance } as const;
  return { name, format, rows, cols, bytes: rows * rowBytes(format, cols), recipe };
}
