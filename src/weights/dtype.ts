// The option `dtype`: every matrix of a model in one format, whatever the file has.
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type FileFormat, type FormatName, formats, rowBytes } from "../quant/formats.ts";
import type { MatrixRef, MixtralWeights } from "./weights.ts";

/** Hugging Face's names of plain floats. */
const aliases: Readonly<Record<string, FormatName>> = { float32: "F32", float16: "F16", bfloat16: "BF16" };

/** The format that a dtype names, in any case; undefined where none does. */
export const formatOfDtype = (dtype: string): FileFormat | undefined =>
  formats[(aliases[dtype.toLowerCase()] ?? dtype.toUpperCase()) as FormatName];

/** What may be given as a dtype, for messages. */
export const dtypes: readonly string[] = ["auto", ...Object.keys(formats).map((name) => name.toLowerCase())];

/**
 * A model's weights with every matrix in the format that a dtype names; norms and routers are f32 in any case.
 * @throws {@link InputError} when a matrix is quantized already, or its columns are no whole blocks
 */
export function withDtype(weights: MixtralWeights, dtype: string | undefined): MixtralWeights {
  if (dtype === undefined || dtype === "auto") return weights;
  const format = formatOfDtype(dtype)!;
  const known = new Map<MatrixRef, MatrixRef>();
  // A matrix that has two roles is one matrix still.
  const encoded = (matrix: MatrixRef): MatrixRef => {
    let made = known.get(matrix);
    if (!made) known.set(matrix, (made = encodedAs(format, matrix)));
    return made;
  };
  return {
    ...weights,
    embed_tokens: encoded(weights.embed_tokens),
    head: weights.head && { ...weights.head, weight: encoded(weights.head.weight) },
    layers: weights.layers.map((layer) => ({
      ...layer,
      q_proj: encoded(layer.q_proj),
      k_proj: encoded(layer.k_proj),
      v_proj: encoded(layer.v_proj),
      o_proj: encoded(layer.o_proj),
      experts: layer.experts.map(({ w1, w3, w2 }) => ({ w1: encoded(w1), w3: encoded(w3), w2: encoded(w2) })),
    })),
  };
}

function encodedAs(format: FileFormat, matrix: MatrixRef): MatrixRef {
  // What a library has quantized stays so beside floats of any kind, as in transformers.
  if (matrix.format === format || (matrix.recipe && !format.quantized)) return matrix;
  const { name, rows, cols } = matrix;
  const where = `${showName(name)}: ${matrix.format.name} [${rows}, ${cols}]`;
  if (matrix.recipe || (matrix.format.quantized && format.quantized))
    throw new InputError(
      `dtype: ${where} is quantized already, and as ${format.name} it would be so twice: take the model in full precision`,
    );
  if (cols % format.block_values !== 0)
    throw new InputError(`dtype: ${where}: ${format.name} needs rows of whole blocks of ${format.block_values}`);
  const { file, offset, bytes, format: from } = matrix;
  const recipe = { maker: "encode", parts: [{ file, offset, bytes }], from } as const;
  return { name, format, rows, cols, bytes: rows * rowBytes(format, cols), recipe };
}
