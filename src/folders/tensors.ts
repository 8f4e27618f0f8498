// A model's weights as the tensors of a Hugging Face folder: the hub's names, one tensor for each matrix of each expert.
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { SafetensorsTensor } from "../checkpoint/safetensors_writer.ts";
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { isFloat } from "../quant/floats.ts";
import { bind, headOf } from "../weights/bind.ts";
import { type ExpertNames, huggingFaceNames } from "../weights/names.ts";
import type { ExpertWeights, HeadName, MatrixRef, MixtralWeights, StoredMatrix } from "../weights/weights.ts";
import { changedHeads, copied, type HeadsChange, type Pieces } from "./pieces.ts";

export interface FolderWeights {
  readonly weights: MixtralWeights;
  readonly head: HeadName | null;
  readonly tensors: readonly (SafetensorsTensor & { readonly data: () => Pieces })[];
}

/**
 * The tensors, in the order of a model's layers.
 * @param kv_heads - heads of keys and values, of which each is the mean of as many as the checkpoint has for it
 * @throws {@link CheckpointError} when a tensor is missing or wrong, or its values are no plain floats
 */
export function folderTensors(checkpoint: Checkpoint, kv_heads: number): FolderWeights {
  const { config, path } = checkpoint;
  const head = headOf(checkpoint);
  const weights = bind(checkpoint, head);
  const names = huggingFaceNames((name) => head === null && name === "embed_tokens.weight");
  const { resolved_head_dim: head_dim } = config;
  const interleaved = weights.qk_interleaved;
  const group = config.num_key_value_heads / kv_heads;
  const tensors: FolderWeights["tensors"][number][] = [];
  const add = (name: string, ref: MatrixRef, change?: HeadsChange, vector = false) => {
    const matrix = plain(ref, path);
    const { rows, cols, format } = matrix;
    const changed = change && (change.interleaved || change.group > 1) ? change : undefined;
    tensors.push({
      name,
      dtype: format.name as SafetensorsTensor["dtype"],
      shape: vector ? [cols] : [rows / (changed?.group ?? 1), cols],
      data: () => (changed ? changedHeads(matrix, changed) : copied(matrix)),
    });
  };
  const vector = (name: string, ref: MatrixRef) => add(name, ref, undefined, true);
  const block = (of: ExpertNames, { w1, w3, w2 }: ExpertWeights) => {
    add(of.w1, w1);
    add(of.w3, w3);
    add(of.w2, w2);
  };
  add(names.embed_tokens, weights.embed_tokens);
  for (const [i, layer] of weights.layers.entries()) {
    const of = names.layer(i);
    vector(of.input_layernorm, layer.input_layernorm);
    add(of.q_proj, layer.q_proj, { head_dim, interleaved, group: 1 });
    add(of.k_proj, layer.k_proj, { head_dim, interleaved, group });
    add(of.v_proj, layer.v_proj, { head_dim, interleaved: false, group });
    add(of.o_proj, layer.o_proj);
    vector(of.post_attention_layernorm, layer.post_attention_layernorm);
    if (layer.router) add(of.router, layer.router);
    for (const [j, expert] of layer.experts.entries()) block(layer.router ? of.expert(j) : of.dense, expert);
  }
  vector(names.norm, weights.norm);
  if (weights.head && weights.head.weight !== weights.embed_tokens) {
    const name = names.heads[weights.head.name];
    add(`${name}.weight`, weights.head.weight);
    if (weights.head.bias) vector(`${name}.bias`, weights.head.bias);
  }
  return { weights, head, tensors };
}

/** A matrix that can be written as it stands. */
function plain(ref: MatrixRef, path: string): StoredMatrix {
  if (ref.recipe === undefined && isFloat(ref.format.name)) return ref;
  throw new CheckpointError(
    `${showName(ref.name)}: expected F32, F16 or BF16, which a Hugging Face folder holds as they are, found ${ref.format.name} [${ref.rows}, ${ref.cols}] in ${fileName(path)}: convert the model in full precision`,
  );
}
