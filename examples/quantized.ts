// A checkpoint in full precision whose linear layers are quantized while it loads, as bitsandbytes does it.
import { AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig } from "tramontane";

const quantization_config = new BitsAndBytesConfig({
  load_in_4bit: true,
  bnb_4bit_quant_type: "nf4",
  bnb_4bit_compute_dtype: "torch.float16",
});
const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
await using model = await AutoModelForCausalLM.from_pretrained("models/demo", { quantization_config });
console.log(model.info().formats);

const ids = await model.generate({ ...tokenizer("My favourite condiment is"), max_new_tokens: 20 });
console.log(tokenizer.batch_decode(ids, { skip_special_tokens: true })[0]);
