// Bun 1: bun install, bun server.ts [MODEL], then curl -N localhost:3000 -d "What is pesto made of?". An answer ends when its
// reader goes.
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";
import demo from "tramontane-demo";

const path = Bun.argv[2] ?? demo;
const tokenizer = await AutoTokenizer.from_pretrained(path);
const model = await AutoModelForCausalLM.from_pretrained(path);

const server = Bun.serve({
  port: Number(Bun.env["PORT"] ?? 3000),
  idleTimeout: 0, // a long prompt may take its time
  async fetch(request) {
    const { signal } = request;
    const messages = [{ role: "user", content: await request.text() }];
    const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
    const pieces = model.stream({ ...inputs, max_new_tokens: 200, tokenizer, signal });
    return new Response(pieces, { headers: { "content-type": "text/plain; charset=utf-8" } });
  },
});
console.log(`listening on ${server.url}`);
