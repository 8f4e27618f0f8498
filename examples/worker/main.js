// A model off the main thread: node main.js "What is pesto made of?" [MODEL]. Deno and Bun run it as it is, too.
import process from "node:process";
import { Worker } from "node:worker_threads";

const [question = "What is pesto made of?", path = "models/demo"] = process.argv.slice(2);
const worker = new Worker(new URL("worker.js", import.meta.url), { workerData: { path } });

/** The answer's pieces, as they come. Leaving the loop ends the answer. */
async function* ask(content) {
  const { port1, port2 } = new MessageChannel();
  const pieces = new ReadableStream({
    start(controller) {
      port1.onmessage = ({ data: { text, error } }) => {
        if (error) controller.error(error);
        else if (text === undefined) controller.close();
        else controller.enqueue(text);
      };
    },
  });
  worker.postMessage({ content, port: port2 }, [port2]);
  try {
    yield* pieces;
  } finally {
    port1.close();
  }
}

for await (const text of ask(question)) process.stdout.write(text);
console.log();
worker.postMessage("close");
