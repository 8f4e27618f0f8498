// Makes WebAssembly memories, and says plainly when the runtime gives none.
import { MemoryError } from "../errors.ts";

/** WebAssembly's page. */
export const WASM_PAGE = 65536;

/**
 * A shared memory of fixed size. Nothing is committed until it is touched, but V8 reserves up to 10 GiB of addresses for
 * each, however small, so that a process under `ulimit -v` runs out of addresses long before it runs out of memory.
 * @param what - it is for, for the message
 * @throws {@link MemoryError} when the runtime refuses
 */
export function createMemory(pages: number, what: string): WebAssembly.Memory {
  const bytes = pages * WASM_PAGE;
  const again = takeRecycled(bytes);
  if (again) return again;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new MemoryError(
      `${what}: the runtime refused a memory of ${bytes} bytes (each may take 10 GiB of addresses, which ulimit -v must allow): ${(cause as Error).message}`,
      bytes,
      undefined,
      { cause },
    );
  }
}

/**
 * Memories that nobody uses any more and that have not been collected yet. V8 may put that off for as long as there are
 * addresses: a program that loads and disposes of models uses the same few memories again instead.
 */
let recycled: WeakRef<WebAssembly.Memory>[] = [];

function takeRecycled(bytes: number): WebAssembly.Memory | undefined {
  recycled = recycled.filter((memory) => memory.deref());
  const at = recycled.findIndex((memory) => memory.deref()?.buffer.byteLength === bytes);
  return at < 0 ? undefined : recycled.splice(at, 1)[0].deref();
}

/** Lets a memory be used again: it reads as zero everywhere, and no thread writes to it any more. */
export function recycleMemory(memory: WebAssembly.Memory): void {
  recycled.push(new WeakRef(memory));
}
