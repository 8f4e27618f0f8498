// Answers each question through the port that comes with it. A port that is closed early ends its answer.
import { parentPort, workerData } from "node:worker_threads";
import { AutoModelForCausalLM, AutoTokenizer } from "tramontane";

const loading = Promise.all([
  AutoTokenizer.from_pretrained(workerData.path),
  AutoModelForCausalLM.from_pretrained(workerData.path),
]);

parentPort.on("message", async ({ content, port }) => {
  const closed = new AbortController();
  port.on("close", () => closed.abort());
  try {
    const [tokenizer, model] = await loading;
    const inputs = tokenizer.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
    const pieces = model.stream({ ...inputs, max_new_tokens: 200, tokenizer, signal: closed.signal });
    for await (const text of pieces) port.postMessage({ text });
    port.postMessage({});
  } catch (error) {
    // An error's class does not survive the way between threads: what it says does.
    const { code, message } = error;
    if (!closed.signal.aborted) port.postMessage({ error: { code, message } });
  }
});
