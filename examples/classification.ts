// Classifiers of texts and of tokens. These have random weights: from_pretrained loads trained ones.
import {
  AutoTokenizer,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  TextClassificationPipeline,
  TokenClassificationPipeline,
} from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
const config = {
  vocab_size: 1536,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

const tastes = { ...config, id2label: { 0: "sweet", 1: "sharp" } };
await using texts = await MixtralForSequenceClassification.from_config(tastes, { seed: 1 });
const classify = new TextClassificationPipeline(texts, tokenizer);
console.log(await classify("Mustard tastes sharp.", { top_k: 2 }));

const things = { ...config, id2label: { 0: "O", 1: "B-FOOD", 2: "I-FOOD" } };
await using tokens = await MixtralForTokenClassification.from_config(things, { seed: 1 });
const tag = new TokenClassificationPipeline(tokens, tokenizer);
console.log(await tag("Mustard and honey.", { aggregation_strategy: "simple" }));
