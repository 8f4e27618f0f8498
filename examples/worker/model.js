// The model as the main thread sees it: questions go to the Worker, each with a port that its answer comes back through.
import { MessageChannel, Worker } from "node:worker_threads";

export function openModel(path) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { workerData: { path } });
  return {
    /** The answer's pieces, as they come. Leaving the loop ends the answer. */
    async *ask(content) {
      const { port1, port2 } = new MessageChannel();
      const pieces = new ReadableStream({
        start(controller) {
          port1.on("message", ({ text, error }) => {
            if (error) controller.error(Object.assign(new Error(error.message), error));
            else if (text === undefined) controller.close();
            else controller.enqueue(text);
          });
        },
      });
      worker.postMessage({ content, port: port2 }, [port2]);
      try {
        yield* pieces;
      } finally {
        port1.close();
      }
    },
    /** Ends the Worker, and the model's threads with it. */
    close: () => worker.terminate(),
  };
}
