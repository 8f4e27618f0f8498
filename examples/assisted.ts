// Drafts make answers that repeat their prompt faster: what followed the last words before is tried first, and kept where it
// is what the model would have said. The answer is the same. A smaller model can draft, too: `assistant_model`.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");

const inputs = tokenizer("My favourite condiment is chutney. In India they eat it with curry. My favourite condiment is chutney. In");
const plain = await model.generate({ ...inputs, max_new_tokens: 20 });
const { sequences, timings } = await model.generate({
  ...inputs,
  max_new_tokens: 20,
  prompt_lookup_num_tokens: 10,
  num_assistant_tokens_schedule: "constant", // drafts even where it does not pay, as on so small a model
  return_dict_in_generate: true,
});
console.log(sequences.tolist()[0].join() === plain.tolist()[0].join());
console.log(`${timings.accepted_tokens} of ${timings.drafted_tokens} drafted tokens were right`);
