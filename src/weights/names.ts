// What checkpoints call a model's weights. Every name stands here and nowhere else.
// Sources: transformers (4: one matrix an expert; 5: all experts of a layer in one tensor), llama.cpp (the same two forms),
// mistral-inference.
import type { HeadName } from "./weights.ts";

/** Names of one layer's weights outside the experts. */
export interface LayerNames {
  readonly input_layernorm: string;
  readonly q_proj: string;
  readonly k_proj: string;
  readonly v_proj: string;
  readonly o_proj: string;
  readonly post_attention_layernorm: string;
  /** Of a mixture of experts. */
  readonly router: string;
  /** Where one tensor holds all experts. */
  readonly merged: MergedNames;
  /** Where each expert has its own. */
  readonly expert: (j: number) => ExpertNames;
  /** Of a model that has one feed-forward block instead. */
  readonly dense: ExpertNames;
}

export interface ExpertNames {
  readonly w1: string;
  readonly w3: string;
  readonly w2: string;
}

/** Either w1 and w3 are apart, or `w1w3` has each expert's w1 rows and then its w3 rows. */
export type MergedNames = { readonly w2: string } & (
  | { readonly w1: string; readonly w3: string }
  | { readonly w1w3: string }
);

export interface ModelNames {
  readonly embed_tokens: string;
  readonly norm: string;
  /** Of the weights of each head, without `.weight` and `.bias`. */
  readonly heads: Readonly<Record<HeadName, string>>;
  readonly layer: (i: number) => LayerNames;
}

/**
 * Hugging Face's names.
 * @param has - whether the checkpoint has a tensor of that name
 */
export function huggingFaceNames(has: (name: string) => boolean): ModelNames {
  // A bare MixtralModel is saved without the prefix.
  const prefix = !has("model.embed_tokens.weight") && has("embed_tokens.weight") ? "" : "model.";
  return {
    embed_tokens: `${prefix}embed_tokens.weight`,
    norm: `${prefix}norm.weight`,
    heads: { lm_head: "lm_head", score: "score", qa_outputs: "qa_outputs" },
    layer(i) {
      const layer = `${prefix}layers.${i}`;
      // transformers 5's name in memory; on disk it is usually the older one.
      const moe = has(`${layer}.mlp.gate.weight`) ? `${layer}.mlp` : `${layer}.block_sparse_moe`;
      return {
        input_layernorm: `${layer}.input_layernorm.weight`,
        q_proj: `${layer}.self_attn.q_proj.weight`,
        k_proj: `${layer}.self_attn.k_proj.weight`,
        v_proj: `${layer}.self_attn.v_proj.weight`,
        o_proj: `${layer}.self_attn.o_proj.weight`,
        post_attention_layernorm: `${layer}.post_attention_layernorm.weight`,
        router: `${moe}.gate.weight`,
        merged: { w1w3: `${moe}.experts.gate_up_proj`, w2: `${moe}.experts.down_proj` },
        expert(j) {
          const expert = `${moe}.experts.${j}`;
          return { w1: `${expert}.w1.weight`, w3: `${expert}.w3.weight`, w2: `${expert}.w2.weight` };
        },
        dense: {
          w1: `${layer}.mlp.gate_proj.weight`,
          w3: `${layer}.mlp.up_proj.weight`,
          w2: `${layer}.mlp.down_proj.weight`,
        },
      };
    },
  };
}

export const ggufNames: ModelNames = {
  embed_tokens: "token_embd.weight",
  norm: "output_norm.weight",
  // llama.cpp has a name for the head of classifiers, and none for answers.
  heads: { lm_head: "output", score: "cls.output", qa_outputs: "qa_outputs" },
  layer: (i) => ({
    input_layernorm: `blk.${i}.attn_norm.weight`,
    q_proj: `blk.${i}.attn_q.weight`,
    k_proj: `blk.${i}.attn_k.weight`,
    v_proj: `blk.${i}.attn_v.weight`,
    o_proj: `blk.${i}.attn_output.weight`,
    post_attention_layernorm: `blk.${i}.ffn_norm.weight`,
    router: `blk.${i}.ffn_gate_inp.weight`,
    merged: {
      w1: `blk.${i}.ffn_gate_exps.weight`,
      w3: `blk.${i}.ffn_up_exps.weight`,
      w2: `blk.${i}.ffn_down_exps.weight`,
    },
    expert: (j) => ({
      w1: `blk.${i}.ffn_gate.${j}.weight`,
      w3: `blk.${i}.ffn_up.${j}.weight`,
      w2: `blk.${i}.ffn_down.${j}.weight`,
    }),
    dense: {
      w1: `blk.${i}.ffn_gate.weight`,
      w3: `blk.${i}.ffn_up.weight`,
      w2: `blk.${i}.ffn_down.weight`,
    },
  }),
};

/** Mistral's own. */
export const mistralNames: ModelNames = {
  embed_tokens: "tok_embeddings.weight",
  norm: "norm.weight",
  heads: { lm_head: "output", score: "score", qa_outputs: "qa_outputs" },
  layer(i) {
    const [layer, feed_forward] = [`layers.${i}`, `layers.${i}.feed_forward`];
    const block = (of: string): ExpertNames => ({
      w1: `${of}.w1.weight`,
      w3: `${of}.w3.weight`,
      w2: `${of}.w2.weight`,
    });
    return {
      input_layernorm: `${layer}.attention_norm.weight`,
      q_proj: `${layer}.attention.wq.weight`,
      k_proj: `${layer}.attention.wk.weight`,
      v_proj: `${layer}.attention.wv.weight`,
      o_proj: `${layer}.attention.wo.weight`,
      post_attention_layernorm: `${layer}.ffn_norm.weight`,
      router: `${feed_forward}.gate.weight`,
      merged: block(`${feed_forward}.experts`), // which no checkpoint has
      expert: (j) => block(`${feed_forward}.experts.${j}`),
      dense: block(feed_forward),
    };
  },
};

/**
 * Tensors that change what a llama-architecture GGUF computes and that no Mixtral has: leaving them out would give
 * other results without a word. Any other unknown tensor is ignored, as transformers ignores it.
 */
export const unheeded = /^(blk\.\d+\..*|output)\.bias$/;
