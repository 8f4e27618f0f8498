// Processors and criteria of one's own: a class, as in transformers.js, or a function.
import { AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, StoppingCriteria, type Tensor } from "tramontane";

/** Lets no token be chosen twice in a row. */
class NoStutter extends LogitsProcessor {
  _call(input_ids: number[][], scores: Tensor): void {
    for (const [row, ids] of input_ids.entries()) scores[row].data[ids.at(-1)!] = -Infinity;
  }
}

/** Ends a row at its second full stop. */
class TwoSentences extends StoppingCriteria {
  private readonly stop: number;

  constructor(stop: number) {
    super();
    this.stop = stop;
  }

  _call(input_ids: readonly ArrayLike<number>[]): boolean[] {
    return input_ids.map((ids) => Array.from(ids).filter((id) => id === this.stop).length >= 2);
  }
}

const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo");
const stop = tokenizer.convert_tokens_to_ids(["."])[0] ?? -1;
const ids = await model.generate({
  ...tokenizer("Mustard tastes"),
  max_new_tokens: 40,
  logits_processor: new NoStutter(),
  stopping_criteria: new TwoSentences(stop),
});
console.log(tokenizer.decode(ids[0], { skip_special_tokens: true }));
