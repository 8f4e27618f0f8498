// Shapes of models that are never made.

import { MixtralConfig } from "../../src/config/mixtral_config.ts";
import { type LayerShape, type ModelShape, modelShape } from "../../src/config/shape.ts";

/** A small model's shape, with some numbers of its own. */
export function shape({
  layers = 2,
  window = 0,
  ...layer
}: { layers?: number; window?: number } & Partial<LayerShape>): ModelShape {
  const base = modelShape(
    new MixtralConfig({ hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, num_hidden_layers: layers }),
  );
  return { ...base, window, layers: base.layers.map((each) => ({ ...each, window, ...layer })) };
}
