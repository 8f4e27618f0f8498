// Beam search keeps the best few ways to go on, and gives back the best whole answers, with their scores.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");

const { sequences, sequences_scores, beam_indices, scores } = await model.generate({
  ...tokenizer("My favourite condiment is"),
  max_new_tokens: 12,
  num_beams: 4,
  num_return_sequences: 2,
  length_penalty: 1,
  early_stopping: true,
  return_dict_in_generate: true,
  output_scores: true,
});
for (const [i, text] of tokenizer.batch_decode(sequences, { skip_special_tokens: true }).entries())
  console.log(Number(sequences_scores?.data[i]).toFixed(2), text);

// What each token of the best answer was worth.
const worth = model.compute_transition_scores(sequences, scores ?? [], beam_indices);
console.log(Array.from(worth.row(0).data, (score) => Number(score).toFixed(2)).join(" "));
