// How sure the model was of each token, and what else it might have said; and guidance away from another prompt.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");

const inputs = tokenizer("My favourite condiment is");
const { logprobs, finish_reasons } = await model.generate({
  ...inputs,
  max_new_tokens: 5,
  top_logprobs: 2,
  return_dict_in_generate: true,
});
for (const { token, logprob, top } of logprobs?.[0] ?? [])
  console.log(tokenizer.decode([token]), Math.exp(logprob).toFixed(2), top.map(({ token }) => tokenizer.decode([token])));
console.log(finish_reasons);

const away = await model.generate({
  ...inputs,
  max_new_tokens: 8,
  guidance_scale: 1.5,
  negative_prompt_ids: tokenizer("Mustard is").input_ids,
});
console.log(tokenizer.decode(away[0], { skip_special_tokens: true }));
