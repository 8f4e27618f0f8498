// The numbers of a config that the forward pass needs, each resolved once: no nulls, no aliases. What may differ from layer
// to layer in models of this family is data of the layer, although in a Mixtral all layers are alike.
import { MixtralConfig } from "./mixtral_config.ts";
import type { PreTrainedConfig } from "./pretrained_config.ts";
import type { RopeParameters } from "./rope_parameters.ts";

export interface LayerShape {
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  /** What scores are multiplied by. */
  readonly scale: number;
  /** Keys that a query sees, itself included; 0: all. */
  readonly window: number;
  /** Whether a router picks among the experts; else there is one, the feed-forward block. */
  readonly routed: boolean;
  readonly experts: number;
  readonly experts_per_token: number;
  readonly intermediate: number;
  readonly act: "silu" | "gelu";
}

export interface ModelShape {
  readonly vocab: number;
  readonly hidden: number;
  readonly layers: readonly LayerShape[];
  readonly eps: number;
  /** How positions become angles. */
  readonly rope: RopeParameters;
  /** Positions that the model was trained with; what lies beyond is for some rope types alone. */
  readonly trained_positions: number;
  /** Dimensions of a head that are rotated: all. */
  readonly rope_dim: number;
  /** Positions that angles still tell apart, which are f32. */
  readonly max_positions: number;
  /** Keys before a position that some layer still sees, the position included; 0: all. */
  readonly window: number;
}

export function modelShape(config: PreTrainedConfig): ModelShape {
  const mixture = config instanceof MixtralConfig ? config : undefined;
  const layer: LayerShape = {
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    head_dim: config.resolved_head_dim,
    scale: 1 / Math.sqrt(config.resolved_head_dim),
    window: config.sliding_window ?? 0,
    routed: mixture !== undefined,
    experts: mixture?.num_local_experts ?? 1,
    experts_per_token: mixture?.num_experts_per_tok ?? 1,
    intermediate: config.intermediate_size,
    act: config.hidden_act === "gelu" ? "gelu" : "silu",
  };
  return {
    vocab: config.vocab_size,
    hidden: config.hidden_size,
    layers: Array.from({ length: config.num_hidden_layers }, () => layer),
    eps: config.rms_norm_eps,
    rope: config.rope_parameters,
    trained_positions: config.max_position_embeddings,
    rope_dim: config.resolved_head_dim,
    max_positions: 1 << 24,
    window: config.sliding_window ?? 0,
  };
}

/** The most that some number is in any layer. */
export const widest = (shape: ModelShape, of: (layer: LayerShape) => number): number =>
  Math.max(...shape.layers.map(of));
