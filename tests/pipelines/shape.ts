// A small model of random weights for the demo model's tokenizer.
export const shape = {
  vocab_size: 1536,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  initializer_range: 0.3,
};
