// A streaming server: npm install && npm start [MODEL], then curl -N localhost:3000/answer -d "What is pesto made of?".
// Requests that come at the same time share the model's steps; one whose client goes away is ended.
import process from "node:process";
import express from "express";
import { AutoModelForCausalLM, AutoTokenizer, TramontaneError } from "tramontane";
import demo from "tramontane-demo";

const path = process.argv[2] ?? demo;
const tokenizer = await AutoTokenizer.from_pretrained(path);
const model = await AutoModelForCausalLM.from_pretrained(path, { max_sequences: 16 });

const app = express();
app.post("/answer", express.text({ type: "*/*", limit: "64kb" }), async (request, response) => {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const messages = [{ role: "user", content: request.body }];
  const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true, split_special_tokens: true });
  response.type("text/plain");
  const pieces = model.stream({ ...inputs, max_new_tokens: 200, tokenizer, signal: gone.signal });
  for await (const text of pieces) response.write(text);
  response.end();
});

app.use((error, _request, response, _next) => {
  if (response.destroyed) return; // the client has gone
  if (response.headersSent) return response.destroy(); // in the middle of an answer
  const code = error instanceof TramontaneError ? error.code : undefined;
  response.status(code === "INPUT" || code === "TOKENIZER" ? 400 : (error.status ?? 500));
  response.json({ error: { code, message: error.message } });
});

const server = app.listen(Number(process.env.PORT ?? 3000), () => {
  console.log(`listening on http://localhost:${server.address().port}`);
});
process.once("SIGTERM", () => server.close(() => model.dispose()));
