// Node 20 and newer: node main.js "What is pesto made of?" [MODEL]. The answer is shown as it comes, and Ctrl-C ends it.
import process from "node:process";
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";
import demo from "tramontane-demo";

const [question = "What is pesto made of?", path = demo] = process.argv.slice(2);
const controller = new AbortController();
process.once("SIGINT", () => controller.abort());

const tokenizer = await AutoTokenizer.from_pretrained(path);
const model = await AutoModelForCausalLM.from_pretrained(path);
try {
  const inputs = tokenizer.apply_chat_template([{ role: "user", content: question }], { add_generation_prompt: true });
  const answer = model.stream({ ...inputs, max_new_tokens: 200, tokenizer, signal: controller.signal });
  for await (const text of answer) process.stdout.write(text);
} catch (error) {
  if (!controller.signal.aborted) throw error;
} finally {
  console.log();
  await model.dispose();
}
