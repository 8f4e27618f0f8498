// Finds the shared library of native kernels in Node, Deno and Bun: in the package itself, where a checkout has built it, or in
// the optional package for this machine.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/** A bundle in CommonJS has no import.meta.url, but a file name. */
const here: string = import.meta.url ?? pathToFileURL(__filename).href;

/** @param system - `linux`, `darwin`; @param arch - `x64`, `arm64` */
export function nativeLibrary(system: string, arch: string): string | { reason: string } {
  const name = `${system}-${arch}`;
  const built = here.startsWith("file:") && fileURLToPath(new URL(`../../../native/${name}.so`, here));
  if (built && existsSync(built)) return built;
  try {
    return createRequire(here).resolve(`tramontane-native-${name}/kernels.so`);
  } catch {
    return { reason: `tramontane-native-${name}, the optional package of native kernels, is not installed` };
  }
}
