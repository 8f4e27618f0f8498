// Runs mutants of the targets one after another and watches each: it must end in success or an ordinary error, soon,
// and without taking more memory than its size explains.
import { drawsOf } from "./mutate.ts";
import { type Target, targets } from "./targets.ts";

export interface FuzzOptions {
  seed: number;
  /** Number of the first mutant. */
  from: number;
  count: number;
  /** Only targets whose name contains this. */
  target?: string;
  /** Called from time to time with the number of the next mutant. */
  progress?: (next: number) => void;
}

export interface FuzzReport {
  opened: number;
  refused: number;
  /** One line for each mutant that did what none may, with what brings it back. */
  failures: string[];
  slowest_ms: number;
  /** The largest growth of heap and array buffers over one mutant. */
  largest_bytes: number;
}

const timeLimit = 2000;
/** Every mutant is below 200 kB: this much is garbage of the readers' own, never a size that a file claims. */
const memoryLimit = 2 ** 26;

const memory = () => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Mutant number i belongs to target i mod their number: every range of numbers meets all of them. */
export async function fuzz({ seed, from, count, target, progress }: FuzzOptions): Promise<FuzzReport> {
  const chosen = targets.filter(({ name }) => !target || name.includes(target));
  if (chosen.length === 0) throw new Error(`no target ${target}: there are ${targets.map((t) => t.name).join(", ")}`);
  const report: FuzzReport = { opened: 0, refused: 0, failures: [], slowest_ms: 0, largest_bytes: 0 };
  for (let i = from; i < from + count; i++) {
    if (i % 1000 === 0) progress?.(i);
    const failure = await runOne(chosen[i % chosen.length], seed, i, report);
    const again = `--seed ${seed} --from ${i} --count 1${target ? ` --target "${target}"` : ""}`;
    if (failure) report.failures.push(`${chosen[i % chosen.length].name}: ${failure} (${again})`);
  }
  return report;
}

async function runOne(target: Target, seed: number, index: number, report: FuzzReport): Promise<string | null> {
  const mutant = target.mutant(drawsOf(seed, index));
  let failure: string | null = null;
  // What a mutant takes it takes each time; what happens beside it, the collector's work and late counting, does not.
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = memory();
    const start = performance.now();
    let opened: boolean;
    try {
      opened = (await target.open(mutant)) === null;
    } catch (error) {
      return (error as Error).stack ?? String(error);
    }
    const ms = performance.now() - start;
    const bytes = memory() - before;
    if (ms > timeLimit) failure = `took ${ms.toFixed(0)} ms`;
    else if (bytes > (target.memory ?? memoryLimit)) failure = `took ${bytes} bytes for ${mutant.length}`;
    else failure = null;
    if (failure && attempt < 2) continue;
    if (opened) report.opened++;
    else report.refused++;
    report.slowest_ms = Math.max(report.slowest_ms, ms);
    report.largest_bytes = Math.max(report.largest_bytes, bytes);
    if (!failure) break;
  }
  return failure;
}
