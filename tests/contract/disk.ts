// What the contracts' suites ask of whoever runs them, so that they import nothing of one runtime.
import * as assert from "uvu/assert";
import type { TramontaneError } from "../../src/errors.ts";

/** A folder of its own for a suite, empty at first, made and looked into by other means than the platform's. */
export interface Disk {
  readonly folder: string;
  /** Makes a file, or overwrites it in place, and returns its path. */
  make(name: string, bytes: Uint8Array): Promise<string>;
  /** Puts another file in a file's place. */
  replace(name: string, bytes: Uint8Array): Promise<void>;
  makeFolder(name: string): Promise<string>;
  /** Removes a folder with what is in it. */
  remove(name: string): Promise<void>;
  /** Whether who reads on is always told that a file was written to. @default true */
  readonly tells_changes?: boolean;
  bytes(path: string): Promise<Uint8Array>;
}

/** Bytes that tell where they are. */
export const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + 3) & 255);

/** Three pages of 64 KiB and a bit: whole pages of whatever size the system has, and a part of one. */
export const content = pattern(3 * 65536 + 777);

export const sharedMemory = (pages: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });

/** The error of a call that must fail, of this class and in these words. */
export async function failure(
  run: () => unknown,
  kind: new (...args: never[]) => TramontaneError,
  words: RegExp | string,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    assert.instance(error, kind, String(error));
    return assert.match((error as Error).message, words);
  }
  assert.unreachable("expected a failure");
}
