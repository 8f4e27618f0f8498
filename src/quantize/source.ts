// What is quantized: a GGUF, or a folder of any layout, as the tensors that a GGUF will have, in the order that llama.cpp
// writes them in.
import type { TensorRef } from "../checkpoint/checkpoint.ts";
import { ggufConfig } from "../checkpoint/gguf_config.ts";
import { readGGUFSet } from "../checkpoint/gguf_split.ts";
import type { GGUFPair } from "../checkpoint/gguf_writer.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import type { Repository } from "../checkpoint/repository.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { fileName } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { rowBytes } from "../quant/formats.ts";
import type { MixShape, TensorKind } from "../quant/mixes.ts";
import { bind, headOf } from "../weights/bind.ts";
import { ggufNames } from "../weights/names.ts";
import type { MatrixRef, StoredMatrix } from "../weights/weights.ts";
import { configMetadata } from "./metadata.ts";
import { vocabularyMetadata } from "./vocabulary.ts";

export interface SourceTensor {
  /** GGUF's. */
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  /** What it is to file types; undefined where it is never quantized. */
  readonly kind: TensorKind | undefined;
  /** −1 where it belongs to none. */
  readonly layer: number;
  /** One for each expert, or one. */
  readonly matrices: readonly StoredMatrix[];
  /** Its rows turn from Hugging Face's order into GGUF's, in heads of this size. */
  readonly heads_of?: number;
  /** In f32 whatever the source has. */
  readonly as_f32?: boolean;
  /** Which file of a split set it is in. */
  readonly part: number;
}

export interface QuantizeSource {
  readonly tensors: readonly SourceTensor[];
  readonly metadata: readonly GGUFPair[];
  readonly shape: MixShape;
  readonly files: readonly SourceFile[];
  close(): Promise<void>;
}

/** @throws CheckpointError, ConfigError or TokenizerError when it cannot be read, InputError when GGUF has no place for a part */
export async function openSource(
  platform: Platform,
  source: ModelSource,
  signal?: AbortSignal | null,
): Promise<QuantizeSource> {
  const repository = await findRepository(platform, source, "model", { signal: signal ?? undefined });
  return repository.file?.endsWith(".gguf") ? openGGUF(repository, repository.file) : openFolder(repository);
}

/** The order of llama.cpp's files: what belongs to no layer by name, then by layer and name. */
const inOrder = (tensors: readonly SourceTensor[]): SourceTensor[] =>
  tensors.toSorted((a, b) => a.layer - b.layer || (a.name < b.name ? -1 : 1));

const named =
  /^(?:blk\.(\d+)\.(?:(attn_q|attn_k|attn_v|attn_output|ffn_gate|ffn_up|ffn_down)(?:_exps|\.\d+)?\.weight$)?|(token_embd|output)\.weight$)/;

/** @throws {@link CheckpointError} when the header is damaged, or is of no Mixtral or Mistral */
async function openGGUF(repository: Repository, file: string): Promise<QuantizeSource> {
  const files: SourceFile[] = [];
  const close = async () => void (await Promise.all(files.map((file) => file.close())));
  try {
    const { header, tensors } = await readGGUFSet(repository, file, async (name) => {
      const opened = await repository.open(name);
      files.push(opened);
      return opened;
    });
    const { metadata, types } = header;
    const tied = !tensors.has("output.weight");
    const rows = tensors.get("token_embd.weight")?.shape[0];
    const config = ggufConfig(metadata, rows, tied, undefined, repository.where(file));
    return {
      tensors: inOrder([...tensors.values()].map((ref) => ggufTensor(ref, files.indexOf(ref.file)))),
      metadata: [...metadata]
        .filter(([key]) => !key.startsWith("split."))
        .map(([key, value]) => [key, types.get(key)!, value]),
      shape: shapeOf(config, tied),
      files,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function ggufTensor(ref: TensorRef, part: number): SourceTensor {
  const { name, shape, format, file, offset } = ref;
  const [, layer, of_layer, of_model] = named.exec(name) ?? [];
  const cols = shape[shape.length - 1];
  const experts = shape.length === 3 ? shape[0] : 1;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1) / experts;
  const bytes = rows * rowBytes(format, cols);
  return {
    name,
    shape,
    kind: shape.length > 1 ? ((of_layer ?? of_model) as TensorKind | undefined) : undefined,
    layer: layer === undefined ? -1 : Number(layer),
    matrices: Array.from({ length: experts }, (_, e) => {
      return { name, format, rows, cols, bytes, file, offset: offset + e * bytes };
    }),
    part,
  };
}

const shapeOf = (config: PreTrainedConfig, tied: boolean): MixShape => ({
  layers: config.num_hidden_layers,
  heads: config.num_attention_heads,
  kv_heads: config.num_key_value_heads,
  experts: config instanceof MixtralConfig ? config.num_local_experts : 1,
  tied,
});

/** A folder whose tensors get GGUF's names and order. */
async function openFolder(repository: Repository): Promise<QuantizeSource> {
  const checkpoint = await openCheckpoint(repository);
  try {
    const { config, files, path } = checkpoint;
    if (checkpoint.kind === "gguf") {
      await checkpoint.close();
      return await openGGUF(repository, fileName(files[0].path));
    }
    const head = headOf(checkpoint);
    if (head !== "lm_head")
      throw new InputError(
        `${path}: expected a model with lm_head, which GGUF has a name for, found ${head ?? "no head"}`,
      );
    const weights = bind(checkpoint, head);
    const tied = weights.head!.weight === weights.embed_tokens;
    const tensors: SourceTensor[] = [];
    const add = (
      name: string,
      refs: readonly MatrixRef[],
      layer: number,
      dimensions: 1 | 2 | 3,
      rest: Pick<SourceTensor, "kind"> & Partial<SourceTensor>,
    ) => {
      const matrices = refs.map((ref) => storedMatrix(ref, path));
      const [{ rows, cols }] = matrices;
      const shape = [matrices.length, rows, cols].slice(3 - dimensions);
      tensors.push({ name, shape, layer, matrices, part: 0, ...rest });
    };
    const turned = weights.qk_interleaved ? {} : { heads_of: config.resolved_head_dim };
    const plain = { kind: undefined, as_f32: true };
    add(ggufNames.embed_tokens, [weights.embed_tokens], -1, 2, { kind: "token_embd" });
    add(ggufNames.norm, [weights.norm], -1, 1, plain);
    if (!tied) add(`${ggufNames.heads.lm_head}.weight`, [weights.head!.weight], -1, 2, { kind: "output" });
    for (const [i, layer] of weights.layers.entries()) {
      const names = ggufNames.layer(i);
      add(names.input_layernorm, [layer.input_layernorm], i, 1, plain);
      add(names.post_attention_layernorm, [layer.post_attention_layernorm], i, 1, plain);
      add(names.q_proj, [layer.q_proj], i, 2, { kind: "attn_q", ...turned });
      add(names.k_proj, [layer.k_proj], i, 2, { kind: "attn_k", ...turned });
      add(names.v_proj, [layer.v_proj], i, 2, { kind: "attn_v" });
      add(names.o_proj, [layer.o_proj], i, 2, { kind: "attn_output" });
      if (layer.router) add(names.router, [layer.router], i, 2, plain);
      const feed = layer.router ? (names.merged as { w1: string; w2: string; w3: string }) : names.dense;
      for (const [role, kind] of roles) {
        const refs = layer.experts.map((expert) => expert[role]);
        add(feed[role], refs, i, layer.router ? 3 : 2, { kind });
      }
    }
    const vocabulary = await vocabularyMetadata(repository, config.vocab_size);
    return {
      tensors: inOrder(tensors),
      metadata: [...configMetadata(config, path), ...vocabulary],
      shape: shapeOf(config, tied),
      files,
      close: () => checkpoint.close(),
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

const roles = [
  ["w1", "ffn_gate"],
  ["w3", "ffn_up"],
  ["w2", "ffn_down"],
] as const;

function storedMatrix(ref: MatrixRef, path: string): StoredMatrix {
  if (!ref.recipe) return ref;
  throw new CheckpointError(
    `${path}: ${ref.name} is quantized in a way that GGUF does not know (${ref.format.name}): take the model in full precision`,
  );
}
