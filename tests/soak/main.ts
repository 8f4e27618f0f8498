// npm run soak -- [--minutes 30] [--seed 1] [--together 6] [--every 20]: mixed calls, aborts, disposals and loads, with what
// the process holds looked at and asserted flat. On Linux. `node --expose-gc` makes the figures of the heap exact.
import process from "node:process";
import { parseArgs } from "node:util";
import { showHeld } from "./held.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: "1" },
    together: { type: "string", default: "6" },
    every: { type: "string", default: "20" },
  },
});
const [minutes, seed, together, every] = [values.minutes, values.seed, values.together, values.every].map(Number);
const start = performance.now();
const report = await soak({
  minutes,
  seed,
  together,
  every,
  looked: (figures, calls) =>
    console.log(`${((performance.now() - start) / 60_000).toFixed(1)} min, ${calls} calls: ${showHeld(figures)}`),
});
for (const [kind, { done, failed }] of Object.entries(report.kinds))
  console.log(`${kind}: ${done}, ${failed} of them ended by a failure`);
for (const fault of report.faults) console.log(`FAULT ${fault}`);
const { slowest } = report;
console.log(
  `${report.calls} calls in ${minutes} minutes with seed ${seed}: ${report.faults.length} faults; slowest ${slowest.ms.toFixed(0)} ms (${slowest.kind})`,
);
process.exitCode = report.faults.length ? 1 : 0;
