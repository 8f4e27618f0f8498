// What merging changes: for each tensor of a checkpoint, the ranges of its rows that some adapters add to or replace.
import type { Checkpoint, TensorRef } from "../checkpoint/checkpoint.ts";
import { modelShape } from "../config/shape.ts";
import { show, showName } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { bind, headOf } from "../weights/bind.ts";
import { ggufNames, huggingFaceNames } from "../weights/names.ts";
import type { MatrixRef, MixtralWeights } from "../weights/weights.ts";
import type { Adapter, AdapterTarget, Factor, LowRank, Place } from "./adapter.ts";
import { interleavedRow } from "./factor.ts";

/** Rows [first_row, first_row + rows) of a tensor, of whose matrix these are all. */
export interface Change {
  readonly first_row: number;
  readonly rows: number;
  readonly added: readonly LowRank[];
  readonly whole?: Factor;
  /** The adapter's row that stands at a row of the matrix. */
  readonly row_of?: (row: number) => number;
}

/** A tensor that is to be written: as it is, or with rows of it changed. */
export interface MergedTensor {
  /** In the file that is written. */
  readonly name: string;
  readonly from: TensorRef;
  readonly changes: readonly Change[];
}

export interface MergePlan {
  readonly tensors: readonly MergedTensor[];
  /** Whether the head was the embedding's matrix and is one of its own now. */
  readonly untied: boolean;
}

/** What adapters of a checkpoint are checked against. */
export function mergeTarget(checkpoint: Checkpoint): { target: AdapterTarget; weights: MixtralWeights } {
  const head = headOf(checkpoint);
  const weights = bind(checkpoint, head);
  const target = {
    shape: modelShape(checkpoint.config),
    head,
    head_size: weights.head?.weight.rows ?? 0,
    tied: weights.head?.weight === weights.embed_tokens,
  };
  return { target, weights };
}

/**
 * Checks that a checkpoint can be written with adapters in it.
 * @throws {@link CheckpointError} when it is quantized, in Mistral's own layout, or has tensors that would be lost
 */
export function checkMergeable({ path, layout, config, tensors, packed, foreign }: Checkpoint): void {
  const [other] = foreign;
  const quantized = [...tensors.values()].find(({ format }) => format.quantized);
  if (quantized || packed.size || config.quantization_config)
    throw new CheckpointError(
      `${path}: its weights are quantized (${quantized ? quantized.format.name : show(config.quantization_config?.quant_method)}): merge into the model in full precision, and quantize what comes of it`,
    );
  if (layout === "mistral")
    throw new CheckpointError(
      `${path}: Mistral's own layout; convert it to Hugging Face's before (tramontane convert), and merge into that`,
    );
  if (other)
    throw new CheckpointError(`${showName(other[0])}: expected F32, F16 or BF16, found ${other[1]} in ${path}`);
}

export function planMerge(
  checkpoint: Checkpoint,
  { weights, target }: ReturnType<typeof mergeTarget>,
  adapters: readonly { readonly adapter: Adapter; readonly scale: number }[],
): MergePlan {
  const changes = new Map<MatrixRef, Change>();
  /** Of a head that is tied, whose matrix is another's. */
  let head: Change | undefined;
  const change = (place: Place, more: (before: Change) => Change) => {
    const matrix = matrixOf(weights, place);
    const rotated = weights.qk_interleaved && (place.role === "q_proj" || place.role === "k_proj");
    const row_of = rotated ? interleavedRow(target.shape.layers[place.layer].head_dim) : undefined;
    const apart = place.role === "head" && target.tied;
    const before = (apart ? head : changes.get(matrix)) ?? { first_row: 0, rows: matrix.rows, added: [], row_of };
    const after = more(before);
    if (apart) head = after;
    else changes.set(matrix, after);
  };
  for (const { adapter, scale } of adapters) {
    for (const one of adapter.replacements)
      change(one, (before) => {
        if (before.whole)
          throw new InputError(
            `${adapter.path}: another adapter has a matrix in place of the model's ${one.role}, too: expected one of them`,
          );
        return { ...before, whole: one.weight };
      });
    for (const one of adapter.low_rank)
      change(one, (before) => ({ ...before, added: [...before.added, { ...one, scale: one.scale * scale }] }));
  }
  const untied = target.tied && (head !== undefined || changes.has(weights.embed_tokens));
  const tensors = [...checkpoint.tensors.values()].map((from): MergedTensor => {
    const inside = [...changes].flatMap(([matrix, change]) => within(from, matrix, change));
    return { name: from.name, from, changes: inside.sort((a, b) => a.first_row - b.first_row) };
  });
  if (!untied) return { tensors, untied };
  const embedding = [...checkpoint.tensors.values()].find((from) => within(from, weights.embed_tokens, {}).length > 0)!;
  const names = checkpoint.layout === "gguf" ? ggufNames : huggingFaceNames((name) => checkpoint.tensors.has(name));
  const own = { name: `${names.heads.lm_head}.weight`, from: embedding, changes: head ? [head] : [] };
  return { tensors: [...tensors.filter(({ name }) => name !== own.name), own], untied };
}

/** A matrix's change as one of the tensor's that it is in. */
function within<T extends object>(from: TensorRef, matrix: MatrixRef, change: T): (T & { first_row: number })[] {
  if (matrix.recipe) return [];
  const start = matrix.offset - from.offset;
  if (matrix.file !== from.file || start < 0 || start >= from.bytes) return [];
  return [{ ...change, first_row: start / (matrix.bytes / matrix.rows) }];
}

function matrixOf({ embed_tokens, layers, head }: MixtralWeights, { role, layer, expert }: Place): MatrixRef {
  if (role === "embed_tokens") return embed_tokens;
  if (role === "head") return head!.weight;
  if (role === "gate") return layers[layer].router!;
  if (role === "w1" || role === "w2" || role === "w3") return layers[layer].experts[expert][role];
  return layers[layer][role];
}
