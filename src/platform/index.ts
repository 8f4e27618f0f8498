// Chooses the platform once, by the globals that each runtime is known by. In what is bundled for browsers browser_index.ts
// stands in its place, so that neither sees the others' modules.
import { EngineError } from "../errors.ts";
import type { Platform } from "./platform.ts";

let chosen: Promise<Platform> | undefined;

/** The platform of the runtime this runs in. */
export function currentPlatform(): Promise<Platform> {
  chosen ??= choose();
  return chosen;
}

async function choose(): Promise<Platform> {
  const globals = globalThis as { Deno?: unknown; Bun?: unknown; process?: { versions?: { node?: string } } };
  if (globals.Deno) return (await import("./deno.ts")).deno;
  if (globals.Bun) return (await import("./bun.ts")).bun;
  if (globals.process?.versions?.node) return (await import("./node.ts")).node;
  throw new EngineError(
    "this runtime is none of Node, Deno and Bun, for which this is; in a browser import tramontane/web, or bundle for one",
  );
}
