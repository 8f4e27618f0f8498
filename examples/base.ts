// A base model goes on with a text.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const path = "models/demo"; // a folder or a .gguf file: your Mixtral
const tokenizer = await AutoTokenizer.from_pretrained(path);
await using model = await AutoModelForCausalLM.from_pretrained(path);

const inputs = tokenizer("My favourite condiment is");
const ids = await model.generate({ ...inputs, max_new_tokens: 20 });
console.log(tokenizer.decode(ids[0], { skip_special_tokens: true }));
