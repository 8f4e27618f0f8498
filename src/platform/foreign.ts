// What the runtimes' FFIs have in common: functions of a library by their signatures, and why it cannot be called.
import type { ForeignFunction, ForeignLibrary, ForeignSignatures } from "./platform.ts";

/**
 * @param bind - opens the library, and gives each function as the runtime's FFI has it, whose results may be BigInts
 */
export async function callLibrary(
  path: string,
  signatures: ForeignSignatures,
  bind: () => Promise<Readonly<Record<string, unknown>>> | Readonly<Record<string, unknown>>,
): Promise<ForeignLibrary | { reason: string }> {
  try {
    const bound = (await bind()) as Readonly<Record<string, ForeignFunction>>;
    const functions = Object.entries(signatures).map(([name, { result }]) => {
      const call = bound[name];
      return [name, result === "u64" ? (...args: Parameters<ForeignFunction>) => Number(call(...args)) : call];
    });
    return { functions: Object.fromEntries(functions) as Record<string, ForeignFunction> };
  } catch (error) {
    return { reason: `${path} cannot be called: ${(error as Error).message}` };
  }
}
