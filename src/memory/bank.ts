// A bank: one WebAssembly memory of fixed size, at most 4 GiB, shared by all threads. Weights live in several; so do
// caches. Every bank begins with the same low region, so that an address in it means the same in each.
import { MemoryError } from "../errors.ts";
import { createMemory, WASM_PAGE } from "../kernels/memory.ts";

export { WASM_PAGE } from "../kernels/memory.ts";

/** The largest memory that 32-bit addresses reach. */
export const MAX_BANK_BYTES = 65536 * WASM_PAGE;

/**
 * A memory of `bytes` bytes, rounded up to whole pages. Nothing is committed until it is touched.
 * @throws {@link MemoryError} when the runtime refuses
 */
export function createBank(bytes: number, what: string): WebAssembly.Memory {
  const pages = Math.ceil(bytes / WASM_PAGE);
  if (pages * WASM_PAGE > MAX_BANK_BYTES)
    throw new MemoryError(
      `${what}: needs ${bytes} bytes in one memory, which holds at most ${MAX_BANK_BYTES}`,
      bytes,
      MAX_BANK_BYTES,
    );
  return createMemory(pages, what);
}

/** Rounds up to a multiple of a power of two. Bytes may exceed 32 bits, so no bit tricks. */
export const alignUp = (n: number, to: number): number => Math.ceil(n / to) * to;
