// Finds the shared library of native kernels in Node, Deno and Bun: in the package itself, where a checkout has built it, or in
// the optional package for this machine.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/** A bundle in CommonJS has no import.meta.url, but a file name. */
const here: string = import.meta.url ?? pathToFileURL(__filename).href;

/**
 * @param system - `linux`, `darwin`
 * @param arch - `x64`, `arm64`
 * @param may_read - whether what is in a folder may be read, where a runtime asks for that
 */
export function nativeLibrary(
  system: string,
  arch: string,
  may_read: (folder: string) => boolean = () => true,
): string | { reason: string } {
  const name = `${system}-${arch}`;
  const folder = (path: string) => (here.startsWith("file:") ? fileURLToPath(new URL(path, here)) : undefined);
  const built = folder("../../../native/");
  if (built && may_read(built) && existsSync(`${built}${name}.so`)) return `${built}${name}.so`;
  const packages = folder("../../../../");
  if (packages && !may_read(packages))
    return { reason: `native kernels are not looked for: ${packages} may not be read (--allow-read)` };
  try {
    return createRequire(here).resolve(`tramontane-native-${name}/kernels.so`);
  } catch {
    return { reason: `tramontane-native-${name}, the optional package of native kernels, is not installed` };
  }
}
