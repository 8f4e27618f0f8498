// A user's own Worker: loads the models that it is told to, generates with all of them at once, and posts what came of it.
// It is started as a thread of node:worker_threads, or as a web Worker where the runtime has those.
import { isMainThread, parentPort } from "node:worker_threads";
import { MixtralForCausalLM } from "../../src/index.ts";

export interface Task {
  models: string[];
  input_ids: number[];
  max_new_tokens: number;
}

export type Report = { answers: number[][]; mapped: boolean[] } | { error: string };

async function answer({ models, input_ids, max_new_tokens }: Task): Promise<Report> {
  try {
    const loaded = await Promise.all(models.map((path) => MixtralForCausalLM.from_pretrained(path, { threads: 2 })));
    const outputs = await Promise.all(loaded.map((model) => model.generate({ input_ids, max_new_tokens })));
    const mapped = loaded.map((model) => model.info().mapped);
    await Promise.all(loaded.map((model) => model.dispose()));
    return { answers: outputs.map((output) => output.tolist()[0]), mapped };
  } catch (error) {
    return { error: `${(error as Error).stack}` };
  }
}

const scope = globalThis as unknown as { onmessage: unknown; postMessage(message: unknown): void };
if (!isMainThread && parentPort) {
  const port = parentPort;
  port.on("message", async (task: Task) => port.postMessage(await answer(task)));
} else {
  scope.onmessage = async ({ data }: { data: Task }) => scope.postMessage(await answer(data));
}
