// A thread of data.test.ts: makes an instance on a shared memory as soon as the others are there, too, and tells what a block
// becomes by it.
import { parentPort, workerData } from "node:worker_threads";

export interface DataTask {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** i32: how many have arrived. */
  readonly gate: SharedArrayBuffer;
  readonly count: number;
  readonly stack_top: number;
  /** Where a block of IQ2_S stands; behind it there is room for its values. */
  readonly at: number;
}

const { module, memory, gate, count, stack_top, at } = workerData as DataTask;
const arrived = new Int32Array(gate);
Atomics.add(arrived, 0, 1);
while (Atomics.load(arrived, 0) < count);
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
(exports.__stack_pointer as WebAssembly.Global).value = stack_top;
(exports.dequantize_iq2_s as (...args: number[]) => void)(at, at + 1024, 256);
parentPort!.postMessage([...new Float32Array(memory.buffer, at + 1024, 256)]);
