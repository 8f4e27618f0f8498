// A checkpoint that is on no disk: random weights as transformers initializes a model, for `from_config`. Its one file is
// computed as it is read; the same seed gives the same bits in every runtime.

import type { Checkpoint, TensorRef } from "../checkpoint/checkpoint.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { loadLogits } from "../kernels/logits.ts";
import { createMemory } from "../kernels/memory.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { formats } from "../quant/formats.ts";
import { huggingFaceNames } from "../weights/names.ts";
import type { HeadName } from "../weights/weights.ts";

/** What a tensor's values are: of a normal distribution, its deviation; or one number everywhere. */
type Values = { readonly deviation: number; readonly zero_row?: number | null } | { readonly all: number };

interface RandomTensor extends TensorRef {
  readonly values: Values;
}

/** Mixes the bits of a 32-bit integer. */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

/**
 * Linear layers, embeddings and experts are drawn from a normal distribution of `config.initializer_range`, norms are 1,
 * biases 0, and so is the embedding of `pad_token_id`.
 * @param head - of the class that is to be loaded
 * Source: transformers, modeling_utils.py (`_init_weights`), with another generator
 */
export async function randomCheckpoint(
  platform: Platform,
  config: PreTrainedConfig,
  head: HeadName | null,
  seed: number | bigint,
): Promise<Checkpoint> {
  const module = await WebAssembly.compile((await platform.wasm("logits.wasm")) as BufferSource);
  const { log } = loadLogits(module, createMemory(16, "the generator's memory"));
  const tensors = listTensors(config, head);
  const words = BigInt.asUintN(64, BigInt(seed));
  const start = mix(mix(Number(words & 0xffffffffn)) ^ Number(words >> 32n));
  const file = new RandomFile(tensors, start, log);
  for (const tensor of tensors) (tensor as { file: SourceFile }).file = file;
  return {
    kind: "safetensors",
    path: file.path,
    config,
    generation_config: {},
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    packed: new Map(),
    foreign: new Map(),
    metadata: new Map(),
    files: [file],
    layout: "huggingface",
    qk_interleaved: false,
    close: () => file.close(),
  };
}

function listTensors(config: PreTrainedConfig, head: HeadName | null): RandomTensor[] {
  const { hidden_size: H, intermediate_size: I, vocab_size: V } = config;
  const names = huggingFaceNames(() => false);
  const tensors: RandomTensor[] = [];
  let end = 0;
  const add = (name: string, shape: readonly number[], values: Values) => {
    const bytes = 4 * shape.reduce((a, b) => a * b);
    const file = undefined as unknown as SourceFile; // which is made of this list
    tensors.push({ name, format: formats.F32, shape, file, offset: end, bytes, values });
    end += bytes;
  };
  const normal = { deviation: config.initializer_range };
  add(names.embed_tokens, [V, H], { ...normal, zero_row: config.pad_token_id });
  const attended = config.num_attention_heads * config.resolved_head_dim;
  const keys = config.num_key_value_heads * config.resolved_head_dim;
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = names.layer(i);
    add(layer.input_layernorm, [H], { all: 1 });
    add(layer.q_proj, [attended, H], normal);
    add(layer.k_proj, [keys, H], normal);
    add(layer.v_proj, [keys, H], normal);
    add(layer.o_proj, [H, attended], normal);
    add(layer.post_attention_layernorm, [H], { all: 1 });
    const experts = config instanceof MixtralConfig ? config.num_local_experts : undefined;
    if (experts !== undefined) add(layer.router, [experts, H], normal);
    for (let j = 0; j < (experts ?? 1); j++) {
      const { w1, w2, w3 } = experts === undefined ? layer.dense : layer.expert(j);
      add(w1, [I, H], normal);
      add(w3, [I, H], normal);
      add(w2, [H, I], normal);
    }
  }
  add(names.norm, [H], { all: 1 });
  if (head === null || (head === "lm_head" && config.tie_word_embeddings)) return tensors;
  const outputs = { lm_head: V, score: config.num_labels, qa_outputs: 2 }[head];
  add(`${names.heads[head]}.weight`, [outputs, H], normal);
  return tensors;
}

class RandomFile implements SourceFile {
  readonly path = "random weights";
  readonly size: number;
  readonly mappable = false;
  private readonly tensors: readonly RandomTensor[];
  private readonly seed: number;
  private readonly log: (x: number) => number;

  constructor(tensors: readonly RandomTensor[], seed: number, log: (x: number) => number) {
    this.tensors = tensors;
    this.seed = seed;
    this.log = log;
    const last = tensors[tensors.length - 1];
    this.size = last.offset + last.bytes;
  }

  /** No thread reads it: what it holds is computed. */
  get handle(): SourceFile["handle"] {
    return { path: this.path, bytes: new Uint8Array(0) };
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const values = new Float32Array(target.length / 4);
    for (const [i, tensor] of this.tensors.entries()) {
      const from = Math.max(offset, tensor.offset);
      const to = Math.min(offset + target.length, tensor.offset + tensor.bytes);
      if (from < to)
        this.fill(tensor, i, (from - tensor.offset) / 4, values.subarray((from - offset) / 4, (to - offset) / 4));
    }
    target.set(new Uint8Array(values.buffer));
  }

  /** Values `first` … of a tensor. They come in pairs, by Marsaglia's polar method: logarithm and root are the same everywhere. */
  private fill({ values, shape }: RandomTensor, index: number, first: number, out: Float32Array): void {
    if ("all" in values) {
      out.fill(values.all);
      return;
    }
    const stream = mix(this.seed + Math.imul(index, 0x9e3779b9));
    for (let i = 0; i < out.length; ) {
      const pair = Math.floor((first + i) / 2);
      const high = Math.floor(pair / 2 ** 32);
      let state = mix(mix(stream ^ high) + pair);
      let [u, v, s] = [0, 0, 0];
      do {
        state = mix(state + 0x6d2b79f5);
        u = (state - 2 ** 31 + 0.5) / 2 ** 31;
        state = mix(state + 0x6d2b79f5);
        v = (state - 2 ** 31 + 0.5) / 2 ** 31;
        s = u * u + v * v;
      } while (s >= 1);
      const factor = values.deviation * Math.sqrt((-2 * this.log(s)) / s);
      if ((first + i) % 2 === 0) out[i++] = u * factor;
      if (i < out.length) out[i++] = v * factor;
    }
    const { zero_row } = values;
    if (zero_row == null) return;
    const width = shape[1];
    const [from, to] = [zero_row * width - first, (zero_row + 1) * width - first];
    if (from < out.length && to > 0) out.fill(0, Math.max(0, from), to);
  }

  async close(): Promise<void> {}
}
