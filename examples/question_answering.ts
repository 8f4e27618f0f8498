// Where in a text the answer stands. The weights are random: from_pretrained loads trained ones.
import { AutoTokenizer, MixtralForQuestionAnswering, QuestionAnsweringPipeline } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
const config = {
  vocab_size: 1536,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
await using model = await MixtralForQuestionAnswering.from_config(config, { seed: 1 });
const answer = new QuestionAnsweringPipeline(model, tokenizer);
console.log(await answer("What is pesto made of?", "Pesto is made of basil, oil and cheese."));
