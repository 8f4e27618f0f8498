// npm run fuzz -- [--seed 1] [--from 0] [--count 100000] [--target gguf]: mutants of good files through every reader.
// Mutants are numbered: a run that was stopped goes on with --from, and a failure names the one that brings it back.
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    count: { type: "string", default: "100000" },
    target: { type: "string" },
  },
});
const [seed, from, count] = [values.seed, values.from, values.count].map(Number);
const progress = (next: number) => process.stderr.write(`\r--seed ${seed} --from ${next} `);
const report = await fuzz({ seed, from, count, target: values.target, progress });
process.stderr.write("\n");
for (const failure of report.failures) console.log(failure);
console.log(
  `${count} mutants from ${from} with seed ${seed}: ${report.opened} opened, ${report.refused} refused, ${report.failures.length} failed; ` +
    `slowest ${report.slowest_ms.toFixed(0)} ms, largest ${(report.largest_bytes / 2 ** 20).toFixed(1)} MiB`,
);
process.exitCode = report.failures.length ? 1 : 0;
