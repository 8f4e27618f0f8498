// Binds a checkpoint's tensors to their roles: every shape and format is checked here once, and matrices that share a
// tensor (all experts of a layer) are cut apart.
import type { Checkpoint, TensorRef } from "../checkpoint/checkpoint.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { rowBytes } from "../quant/formats.ts";
import {
  type ExpertNames,
  ggufNames,
  huggingFaceNames,
  type LayerNames,
  type ModelNames,
  mistralNames,
  unheeded,
} from "./names.ts";
import type {
  ExpertWeights,
  HeadName,
  HeadWeights,
  LayerWeights,
  MatrixRef,
  MixtralWeights,
  StoredMatrix,
} from "./weights.ts";

/**
 * Finds every weight of a model in its checkpoint. Nothing is read; the refs are good while the checkpoint is open.
 * Unknown tensors (`rotary_emb.inv_freq`, another class's head) are ignored.
 * @param head - of the class that is loaded, which the checkpoint must have
 * @throws {@link CheckpointError} when a tensor is missing, or has another shape or format than the config asks for
 */
export function bind(checkpoint: Checkpoint, head: HeadName | null): MixtralWeights {
  const { config } = checkpoint;
  const { vocab_size, hidden_size, num_hidden_layers } = config;
  const names = namesOf(checkpoint);
  if (checkpoint.kind === "gguf") refuseUnheeded(checkpoint);
  const embed_tokens = whole(find(checkpoint, names.embed_tokens, [vocab_size, hidden_size]));
  const layers: LayerWeights[] = [];
  for (let i = 0; i < num_hidden_layers; i++) layers.push(bindLayer(checkpoint, names.layer(i)));
  return {
    embed_tokens,
    layers,
    norm: vector(checkpoint, names.norm, hidden_size),
    head: head && bindHead(checkpoint, head, names.heads[head], embed_tokens),
    qk_interleaved: checkpoint.qk_interleaved,
  };
}

function namesOf(checkpoint: Checkpoint): ModelNames {
  const { layout, foreign } = checkpoint;
  if (layout === "gguf") return ggufNames;
  return layout === "mistral" ? mistralNames : huggingFaceNames((name) => has(checkpoint, name) || foreign.has(name));
}

const has = ({ tensors, packed }: Checkpoint, name: string): boolean => tensors.has(name) || packed.has(name);

const heads: readonly [suffix: string, head: HeadName][] = [
  ["ForCausalLM", "lm_head"],
  ["Classification", "score"],
  ["ForQuestionAnswering", "qa_outputs"],
];

/** The head of the class that a checkpoint was saved as; where it does not say, that of a language model if it is there. */
export function headOf(checkpoint: Checkpoint): HeadName | null {
  const { architectures, tie_word_embeddings } = checkpoint.config;
  if (architectures) return heads.find(([suffix]) => architectures.some((name) => name.endsWith(suffix)))?.[1] ?? null;
  const names = namesOf(checkpoint);
  return tie_word_embeddings || has(checkpoint, `${names.heads.lm_head}.weight`) ? "lm_head" : null;
}

function bindHead(checkpoint: Checkpoint, head: HeadName, name: string, embed_tokens: MatrixRef): HeadWeights {
  const { config, tensors } = checkpoint;
  if (head === "lm_head" && config.tie_word_embeddings) return { name: head, weight: embed_tokens, bias: null };
  const outputs = { lm_head: config.vocab_size, score: config.num_labels, qa_outputs: 2 }[head];
  const biased = tensors.has(`${name}.bias`);
  return {
    name: head,
    weight: matrix(checkpoint, `${name}.weight`, outputs, config.hidden_size),
    bias: biased ? vector(checkpoint, `${name}.bias`, outputs) : null,
  };
}

function bindLayer(checkpoint: Checkpoint, names: LayerNames): LayerWeights {
  const { hidden_size, num_attention_heads, num_key_value_heads, resolved_head_dim } = checkpoint.config;
  const attention = num_attention_heads * resolved_head_dim;
  const keys = num_key_value_heads * resolved_head_dim;
  return {
    input_layernorm: vector(checkpoint, names.input_layernorm, hidden_size),
    q_proj: matrix(checkpoint, names.q_proj, attention, hidden_size),
    k_proj: matrix(checkpoint, names.k_proj, keys, hidden_size),
    v_proj: matrix(checkpoint, names.v_proj, keys, hidden_size),
    o_proj: matrix(checkpoint, names.o_proj, hidden_size, attention),
    post_attention_layernorm: vector(checkpoint, names.post_attention_layernorm, hidden_size),
    ...bindFeedForward(checkpoint, names),
  };
}

function bindFeedForward(checkpoint: Checkpoint, names: LayerNames): Pick<LayerWeights, "router" | "experts"> {
  const { config } = checkpoint;
  if (!(config instanceof MixtralConfig)) return { router: null, experts: [bindExpert(checkpoint, names.dense)] };
  const { num_local_experts, hidden_size } = config;
  return {
    // Of any format: it is small, and loaded as f32, unless its products want quantized activations (memory/plan.ts).
    router: matrix(checkpoint, names.router, num_local_experts, hidden_size),
    experts: bindExperts(checkpoint, config, names),
  };
}

function bindExpert(checkpoint: Checkpoint, { w1, w3, w2 }: ExpertNames): ExpertWeights {
  const { hidden_size: H, intermediate_size: I } = checkpoint.config;
  return { w1: matrix(checkpoint, w1, I, H), w3: matrix(checkpoint, w3, I, H), w2: matrix(checkpoint, w2, H, I) };
}

function bindExperts(
  checkpoint: Checkpoint,
  { hidden_size: H, intermediate_size: I, num_local_experts: E }: MixtralConfig,
  { merged, expert }: LayerNames,
): ExpertWeights[] {
  const list = <T>(make: (j: number) => T): T[] => Array.from({ length: E }, (_, j) => make(j));
  // One matrix an expert, as files of before April 2024 (GGUF) and transformers 4 (safetensors) have.
  const first = expert(0).w1;
  if (has(checkpoint, first) || (checkpoint.kind === "safetensors" && !checkpoint.tensors.has(merged.w2)))
    return list((j) => bindExpert(checkpoint, expert(j)));
  const down = find(checkpoint, merged.w2, [E, H, I]);
  if ("w1w3" in merged) {
    const gateUp = find(checkpoint, merged.w1w3, [E, 2 * I, H]);
    return list((j) => ({
      w1: rows(gateUp, 2 * j * I, I, `[${j}].w1`),
      w3: rows(gateUp, (2 * j + 1) * I, I, `[${j}].w3`),
      w2: rows(down, j * H, H, `[${j}]`),
    }));
  }
  const gate = find(checkpoint, merged.w1, [E, I, H]);
  const up = find(checkpoint, merged.w3, [E, I, H]);
  return list((j) => ({
    w1: rows(gate, j * I, I, `[${j}]`),
    w3: rows(up, j * I, I, `[${j}]`),
    w2: rows(down, j * H, H, `[${j}]`),
  }));
}

function matrix(checkpoint: Checkpoint, name: string, rows: number, cols: number): MatrixRef {
  const packed = checkpoint.packed.get(name);
  if (!packed) return whole(find(checkpoint, name, [rows, cols]));
  const { format, shape, recipe } = packed;
  if (shape[0] !== rows || shape[1] !== cols)
    throw new CheckpointError(
      `${name}: expected [${rows}, ${cols}], found ${format.name} [${shape.join(", ")}] in ${fileName(recipe.parts[0].file.path)}`,
    );
  return { name, format, rows, cols, bytes: rows * rowBytes(format, cols), recipe };
}

const vector = (checkpoint: Checkpoint, name: string, size: number): MatrixRef =>
  unquantized(whole(find(checkpoint, name, [size])));

/** The tensor of a name, if it has the shape. */
function find(checkpoint: Checkpoint, name: string, shape: readonly number[]): TensorRef {
  const tensor = checkpoint.tensors.get(name);
  const expected = `[${shape.join(", ")}]`;
  const foreign = checkpoint.foreign.get(name);
  if (!tensor)
    throw new CheckpointError(
      foreign
        ? `${name}: expected F32, F16 or BF16 ${expected}, found ${foreign} in ${checkpoint.path}`
        : `${name}: missing; expected ${expected} in ${checkpoint.path}`,
    );
  const found = [...tensor.shape];
  // ggml counts dimensions without the outermost ones of size 1.
  if (checkpoint.kind === "gguf") while (found.length < shape.length) found.unshift(1);
  if (found.length !== shape.length || found.some((n, i) => n !== shape[i]))
    throw new CheckpointError(
      `${name}: expected ${expected}, found ${tensor.format.name} [${tensor.shape.join(", ")}] in ${fileName(tensor.file.path)}`,
    );
  // Both readers have checked whole blocks where a format has them.
  return tensor;
}

/** A whole tensor as a matrix; a vector is one row. */
function whole(tensor: TensorRef): StoredMatrix {
  return rows(tensor, 0, tensor.bytes / rowBytes(tensor.format, tensor.shape.at(-1)!), "");
}

/** `count` rows of a tensor from row `start` on, all but its last dimension counted as rows. */
function rows(tensor: TensorRef, start: number, count: number, part: string): StoredMatrix {
  const { name, format, file, offset } = tensor;
  const cols = tensor.shape.at(-1)!;
  const row = rowBytes(format, cols);
  return { name: `${name}${part}`, format, rows: count, cols, file, offset: offset + start * row, bytes: count * row };
}

/** Norms are vectors, which no maker of files quantizes and llama.cpp takes as floats only. */
function unquantized(ref: StoredMatrix): StoredMatrix {
  if (ref.format.quantized)
    throw new CheckpointError(
      `${ref.name}: expected F32, F16 or BF16, found ${ref.format.name} [${ref.rows}, ${ref.cols}] in ${fileName(ref.file.path)}`,
    );
  return ref;
}

function refuseUnheeded(checkpoint: Checkpoint): void {
  for (const name of checkpoint.tensors.keys())
    if (unheeded.test(name))
      throw new CheckpointError(
        `${showName(name)}: no model of this family has such a tensor, and its effect would be lost: found in ${checkpoint.path}`,
      );
}
