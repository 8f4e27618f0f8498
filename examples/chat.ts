// An instruct model answers a conversation; the text is shown as it comes.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const path = "models/demo";
const tokenizer = await AutoTokenizer.from_pretrained(path);
await using model = await AutoModelForCausalLM.from_pretrained(path);

const messages = [
  { role: "user", content: "What is your favourite condiment?" },
  { role: "assistant", content: "Mustard. It tastes sharp." },
  { role: "user", content: "What is pesto made of?" },
];
const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
for await (const text of model.stream({ ...inputs, max_new_tokens: 40, tokenizer })) process.stdout.write(text);
process.stdout.write("\n");
