// Native llama.cpp through node-llama-cpp and its prebuilt binaries, on the CPU: one load, one prompt, one answer.
import process from "node:process";
import { randomWords } from "../blocks.ts";
import { importCompanion } from "../companions.ts";
import { watchMemory } from "../memory.ts";
import type { PeerRequest, PeerRun } from "./peer.ts";

const { path, threads, prompt, tokens }: PeerRequest = JSON.parse(process.argv[2]);
const { getLlama, LlamaLogLevel } = await importCompanion("node-llama-cpp");
const watch = watchMemory();
const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  maxThreads: threads,
  logLevel: LlamaLogLevel.error,
  progressLogs: false,
});
const start = performance.now();
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({
  contextSize: prompt + tokens + 64,
  batchSize: prompt,
  threads: { ideal: threads, min: threads },
});
const load_ms = performance.now() - start;
const sequence = context.getSequence();
const ids = Array.from(randomWords(new Uint32Array(prompt), 1), (word) => 259 + (word % 31741));
// The first evaluation makes the graphs and touches the weights.
await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 32));
await sequence.clearHistory();

const times = [performance.now()];
for await (const _ of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
  if (times.push(performance.now()) === tokens + 1) break;
}
const run: PeerRun = {
  load_ms,
  prompt_rate: (prompt / (times[1] - times[0])) * 1000,
  generated_rate: ((times.length - 2) / (times.at(-1)! - times[1])) * 1000,
  private: watch.peak().private,
};
console.log(JSON.stringify(run));
process.exit();
