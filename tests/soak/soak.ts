// Runs mixed calls, some at a time, for as long as is asked; pauses now and then to look at what the process holds, and says
// whether it stays flat.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { AutoTokenizer, MixtralForCausalLM } from "../../src/index.ts";
import { answer, expected } from "../faults/answer.ts";
import { demo, fixture } from "../fixtures.ts";
import { uniform } from "../kernels/random.ts";
import { calls, mayFail, type SoakContext } from "./calls.ts";
import { collect, type Held, held } from "./held.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Calls at a time. */
  readonly together: number;
  /** Seconds between two looks. */
  readonly every: number;
  /** Told at every look. */
  readonly looked?: (figures: Held, calls: number) => void;
}

export interface SoakReport {
  readonly calls: number;
  /** Of each kind, how many were done, and how many of them ended in an ordinary failure. */
  readonly kinds: Readonly<Record<string, { done: number; failed: number }>>;
  readonly slowest: { readonly kind: string; readonly ms: number };
  readonly samples: readonly Held[];
  /** One line for each thing that no soak may show. */
  readonly faults: readonly string[];
}

/** How much more than at first a figure may be at the end: what runtimes keep for themselves, and not a call's share. */
const SLACK: Readonly<Partial<Record<keyof Held, number>>> = {
  resident_MiB: 48,
  heap_MiB: 8,
  threads: 4,
  maps: 400,
  handles: 8,
  addresses_GiB: 512, // V8 reserves ten for each memory
};

export async function soak({ minutes, seed, together, every, looked }: SoakOptions): Promise<SoakReport> {
  const faults: string[] = [];
  const unheard = (error: unknown) => void faults.push(`unheard: ${(error as Error)?.stack ?? error}`);
  process.on("unhandledRejection", unheard);
  const next = uniform(seed);
  const draw = (n: number) => Math.floor(next() * n);
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
  const context: SoakContext = {
    model,
    tokenizer: await AutoTokenizer.from_pretrained(demo),
    signal: new AbortController().signal,
    paths: [demo, fixture("fixtures/hf/window_8"), fixture("fixtures/gguf/models/Q4_K_M.gguf")],
    folder,
  };
  const names = Object.keys(calls);
  const kinds = Object.fromEntries(names.map((name) => [name, { done: 0, failed: 0 }]));
  let slowest = { kind: "", ms: 0 };
  let count = 0;
  const one = async () => {
    const kind = names[draw(names.length)];
    const own = uniform(draw(2 ** 31));
    const start = performance.now();
    try {
      const fine = await mayFail(() => calls[kind](context, (n) => Math.floor(own() * n)));
      kinds[kind].done++;
      if (!fine) kinds[kind].failed++;
    } catch (error) {
      faults.push(`${kind}: ${(error as Error)?.stack ?? error}`);
    }
    count++;
    const ms = performance.now() - start;
    if (ms > slowest.ms) slowest = { kind, ms };
  };
  const samples: Held[] = [];
  const look = async () => {
    if ((await answer(model)).join() !== expected.join()) faults.push(`another answer after ${count} calls`);
    await collect();
    samples.push(held());
    looked?.(samples.at(-1)!, count);
  };
  const end = performance.now() + minutes * 60_000;
  try {
    while (performance.now() < end && faults.length < 10) {
      const until = Math.min(end, performance.now() + every * 1000);
      const lane = async () => {
        while (performance.now() < until && faults.length < 10) await one();
      };
      await Promise.all(Array.from({ length: together }, lane));
      await look();
    }
    const { cache_bytes } = model.info();
    // What was forgotten goes with the garbage; where none is collected on demand, it may still be there.
    if ("gc" in globalThis && cache_bytes > 0) faults.push(`${cache_bytes} bytes of caches are left`);
  } finally {
    await model.dispose();
    rmSync(folder, { recursive: true, force: true });
    process.removeListener("unhandledRejection", unheard);
  }
  // In less time the runtime has not found its size.
  if (minutes >= 2) faults.push(...grown(samples));
  return { calls: count, kinds, slowest, samples, faults };
}

/** The median over a part of the samples. */
function median(samples: readonly Held[], figure: keyof Held): number {
  const sorted = samples.map((sample) => sample[figure]).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** What is larger at the end than after the first quarter, in which runtimes find their size. */
function grown(samples: readonly Held[]): string[] {
  const quarter = samples.length >> 2;
  if (quarter === 0) return [];
  const [early, late] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
  return (Object.keys(SLACK) as (keyof Held)[]).flatMap((figure) => {
    const [before, after] = [median(early, figure), median(late, figure)];
    return after > before + SLACK[figure]! ? [`${figure}: ${before.toFixed(1)} -> ${after.toFixed(1)}`] : [];
  });
}
