// How much memory a process holds, and of which kind, as Linux tells it.
import { readdirSync, readFileSync } from "node:fs";

/** Bytes. */
export interface MemoryUse {
  /** Pages that are the process's own and were written to: the system cannot drop them. */
  private: number;
  /** The other pages that are in memory now: of files (mapped weights, programs), dropped and shared as the system likes. */
  file: number;
}

/** @param pid - a process, or `self` @returns undefined where the system does not tell */
export function memoryOf(pid: number | "self"): MemoryUse | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const field = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
    const dirty = field("Private_Dirty");
    return { private: dirty, file: field("Rss") - dirty };
  } catch {
    return undefined;
  }
}

/** Bytes that this process has had read from a disk: what the system had in memory already does not count. */
export function diskBytes(): number {
  try {
    return Number(/^read_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** A process and all that it has started. */
export function memoryOfTree(pid: number): MemoryUse {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      // The name, in parentheses, may hold spaces; the parent is the second field after it.
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const belongs = (p: number | undefined): boolean => p !== undefined && (p === pid || belongs(parents.get(p)));
  const all = [...parents.keys()].filter(belongs).map((p) => memoryOf(p) ?? { private: 0, file: 0 });
  return {
    private: all.reduce((sum, each) => sum + each.private, 0),
    file: all.reduce((sum, each) => sum + each.file, 0),
  };
}

/** Of its time at most, a process looks at its own memory: the system walks all pages for it, 0.2 s for 18 GB. */
const SHARE = 1 / 50;

/** Watches the largest use from now on; sampled, as only the system's whole size has a record of its peak. */
export function watchMemory(pid: number | "self" = "self", every_ms = 200): { peak(): MemoryUse; stop(): void } {
  const peak: MemoryUse = { private: 0, file: 0 };
  let timer: NodeJS.Timeout | undefined;
  const sample = () => {
    const now = pid === "self" ? memoryOf("self") : memoryOfTree(pid);
    if (!now) return;
    peak.private = Math.max(peak.private, now.private);
    peak.file = Math.max(peak.file, now.file);
  };
  // Not by an interval: one that is shorter than a sample takes leaves no time to anything else.
  const again = () => {
    const start = performance.now();
    sample();
    timer = setTimeout(again, Math.max(every_ms, (performance.now() - start) / SHARE));
    timer.unref();
  };
  again();
  return {
    peak() {
      sample();
      return { ...peak };
    },
    stop: () => clearTimeout(timer),
  };
}
