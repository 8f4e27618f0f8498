// A text is read once; two questions about it go on from its keys and values.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");

const text = "Pesto is made of basil, oil and cheese. Mustard is made of seeds.";
const { past_key_values } = await model({ ...tokenizer(text), logits_to_keep: 1, use_cache: true });
for (const question of [" Pesto is", " Mustard is"]) {
  using cache = past_key_values.fork();
  const input_ids = [...tokenizer.encode(text), ...tokenizer.encode(question, { add_special_tokens: false })];
  const ids = await model.generate({ input_ids, past_key_values: cache, max_new_tokens: 8 });
  console.log(tokenizer.decode(ids[0].slice(input_ids.length)));
}
past_key_values.dispose();
