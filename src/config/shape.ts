// The numbers of a config that the forward pass needs, each resolved once: no nulls, no aliases.
import type { MixtralConfig } from "./mixtral_config.ts";

export interface ModelShape {
  readonly vocab: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly experts: number;
  readonly experts_per_token: number;
  /** Keys that a query sees, itself included; 0: all. */
  readonly window: number;
  readonly rope_theta: number;
  /** Linear scaling: positions count as position / factor. */
  readonly rope_factor: number;
  /** Positions that rotation is defined for: dynamic scaling would change what it does beyond them. */
  readonly max_positions: number;
  readonly eps: number;
  readonly act: "silu" | "gelu";
}

export function modelShape(config: MixtralConfig): ModelShape {
  return {
    vocab: config.vocab_size,
    hidden: config.hidden_size,
    intermediate: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    head_dim: config.resolved_head_dim,
    experts: config.num_local_experts,
    experts_per_token: config.num_experts_per_tok,
    window: config.sliding_window ?? 0,
    rope_theta: config.rope_theta,
    rope_factor: config.rope_factor,
    max_positions: config.rope_parameters.rope_type === "dynamic" ? config.max_position_embeddings : 1 << 24,
    eps: config.rms_norm_eps,
    act: config.hidden_act === "gelu" ? "gelu" : "silu",
  };
}
