// The runtime's garbage, collected when a test wants it: Node, Deno and Bun each have a way of their own.
import * as v8 from "node:v8";
import { runInNewContext } from "node:vm";

const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(now: boolean): void } };
if (!gc && !Bun) v8.setFlagsFromString?.("--expose-gc");
const collect = gc ?? (Bun ? () => Bun.gc(true) : (runInNewContext("gc") as () => void));

/** Collects again and again until something holds that follows from it, or it has had its time. */
export async function collectUntil(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 50 && !holds(); i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
