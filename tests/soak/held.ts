// What this process holds, as Linux tells it: memory, mappings, threads, handles.
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

export interface Held {
  readonly addresses_GiB: number;
  readonly resident_MiB: number;
  readonly heap_MiB: number;
  readonly threads: number;
  readonly maps: number;
  /** Mappings of weights. */
  readonly mapped: number;
  readonly handles: number;
}

/** Deno reads files by a pool of threads that grows with the work and shrinks when it likes. */
const POOLED = /^tokio-/;

/** Threads but for those of a runtime's pool. One may end while they are listed. */
function threads(): number {
  const names = readdirSync("/proc/self/task").map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, "utf8");
    } catch {
      return undefined;
    }
  });
  return names.filter((name) => name !== undefined && !POOLED.test(name)).length;
}

export function held(): Held {
  const status = readFileSync("/proc/self/status", "utf8");
  const figure = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
  const maps = readFileSync("/proc/self/maps", "utf8").trim().split("\n");
  return {
    addresses_GiB: figure("VmSize") / 2 ** 20,
    resident_MiB: figure("VmRSS") / 2 ** 10,
    heap_MiB: process.memoryUsage().heapUsed / 2 ** 20,
    threads: threads(),
    maps: maps.length,
    mapped: maps.filter((line) => /\.(safetensors|gguf)$/.test(line)).length,
    handles: readdirSync("/proc/self/fd").length,
  };
}

export const showHeld = (figures: Held): string =>
  Object.entries(figures)
    .map(
      ([name, figure]: [string, number]) =>
        `${figure.toFixed(name.endsWith("GiB") || name.endsWith("MiB") ? 1 : 0)} ${name}`,
    )
    .join(", ");

/** Garbage is the runtime's: it is given the occasion to collect. */
export async function collect(): Promise<void> {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(now: boolean): void } };
  for (let i = 0; i < 3; i++) {
    gc?.();
    Bun?.gc(true);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
