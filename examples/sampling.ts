// Several answers drawn for one prompt, the same ones for the same seed.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");

const answers = await model.generate({
  ...tokenizer("Mustard tastes"),
  max_new_tokens: 12,
  do_sample: true,
  temperature: 0.9,
  top_p: 0.95,
  num_return_sequences: 3,
  seed: 42,
});
for (const text of tokenizer.batch_decode(answers, { skip_special_tokens: true })) console.log(text);
