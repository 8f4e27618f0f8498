// The model as the main thread sees it: questions go to the Worker, each with a port that its answer comes back through.
import { on } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";

export function openModel(path) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { workerData: { path } });
  return {
    /** The answer's pieces, as they come. Leaving the loop ends the answer. */
    async *ask(content) {
      const { port1, port2 } = new MessageChannel();
      const messages = on(port1, "message");
      worker.postMessage({ content, port: port2 }, [port2]);
      try {
        for await (const [{ text, error }] of messages) {
          if (error) throw Object.assign(new Error(error.message), error);
          if (text === undefined) return;
          yield text;
        }
      } finally {
        port1.close();
      }
    },
    /** Ends the Worker, and the model's threads with it. */
    close: () => worker.terminate(),
  };
}
