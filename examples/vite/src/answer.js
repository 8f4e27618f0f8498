// On the server: a handler of Node's requests that answers a question with a stream of text.
import process from "node:process";
import { text } from "node:stream/consumers";
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";
import demo from "tramontane-demo";

const path = process.env.MODEL ?? demo;
const tokenizer = await AutoTokenizer.from_pretrained(path);
const model = await AutoModelForCausalLM.from_pretrained(path);

export async function answer(request, response) {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  try {
    const messages = [{ role: "user", content: await text(request) }];
    const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
    response.setHeader("content-type", "text/plain; charset=utf-8");
    const pieces = model.stream({ ...inputs, max_new_tokens: 200, tokenizer, signal: gone.signal });
    for await (const piece of pieces) response.write(piece);
  } catch (error) {
    if (gone.signal.aborted) return;
    if (!response.headersSent) response.statusCode = 500;
    response.write(error.message);
  }
  response.end();
}
