// A thread of the contract's: reads what it is asked to, by the platform of its own.
import { currentPlatform } from "../../src/platform/index.ts";
import type { FileHandleRef } from "../../src/platform/platform.ts";

/**
 * Bytes [offset, offset + length) of a file, into the beginning of a shared memory, and into one of the thread's own.
 * With `least` they are read past the system's cache, into the shared memory alone, and so many of them must be there.
 */
export interface Question {
  readonly ref: FileHandleRef;
  readonly offset: number;
  readonly length: number;
  readonly memory: WebAssembly.Memory;
  readonly least?: number;
}

export interface Answer {
  readonly platform: string;
  readonly own?: Uint8Array;
  readonly error?: string;
}

const platform = await currentPlatform();
const port = platform.host_port();

function answer({ ref, offset, length, memory, least }: Question): Uint8Array {
  const file = platform.openSync(ref, least !== undefined);
  try {
    if (least !== undefined) {
      file.read(offset, new Uint8Array(memory.buffer, 0, length), least);
      return new Uint8Array(memory.buffer).slice(0, least);
    }
    const own = new Uint8Array(length);
    file.read(offset, own);
    file.read(offset, new Uint8Array(memory.buffer, 0, length));
    return own;
  } finally {
    file.close();
    file.close();
  }
}

port.on_message((message) => {
  try {
    port.post({ platform: platform.name, own: answer(message as Question) } satisfies Answer);
  } catch (error) {
    port.post({ platform: platform.name, error: String(error) } satisfies Answer);
  }
});
port.post({ type: "loaded" });
