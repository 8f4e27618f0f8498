// What a converting thread works with: a memory of its own with the kernels and the encoders on it, and the open files.
import { instantiate, type KernelInstance, stackTop } from "../kernels/abi.ts";
import { type ConvertInstance, instantiateConvert } from "../kernels/convert.ts";
import { createMemory, WASM_PAGE } from "../kernels/memory.ts";

import type { SyncFile } from "../platform/platform.ts";
import type { ConvertSetup, PostedPart } from "./job.ts";

/** Room for what the two modules keep for themselves: kernels below 1 MiB, encoders and their tables from there on. */
const MODULES_BYTES = 1 << 23;

export class Workshop {
  readonly kernels: KernelInstance;
  readonly converters: ConvertInstance;
  readonly bytes: Uint8Array;
  private readonly memory: WebAssembly.Memory;
  private readonly bottom: number;
  private top: number;
  private files: readonly SyncFile[] = [];

  constructor({ kernels, converters, work_bytes }: ConvertSetup) {
    const pages = Math.ceil((MODULES_BYTES + work_bytes) / WASM_PAGE);
    this.memory = createMemory(pages, "a converting thread's memory");
    this.kernels = instantiate(kernels, this.memory, stackTop(0));
    this.converters = instantiateConvert(converters, this.memory);
    this.bytes = new Uint8Array(this.memory.buffer);
    this.bottom = Math.ceil(this.converters.heap_base / 64) * 64;
    this.top = this.bottom;
  }

  /** Whose parts recipes name from now on. */
  use(files: readonly SyncFile[]): void {
    this.files = files;
  }

  /** All memory is free again. */
  clear(): void {
    this.top = this.bottom;
  }

  /** Room for some bytes, from a multiple of 64 on. */
  take(bytes: number): number {
    const at = this.top;
    this.top = Math.ceil((at + bytes) / 64) * 64;
    return at;
  }

  /** Does some work, and takes back the room that it took. */
  again(work: () => void): void {
    const { top } = this;
    work();
    this.top = top;
  }

  /** Reads bytes [from, to) of a part to a place of their own. @throws CheckpointError */
  read({ file, offset }: PostedPart, from: number, to: number): number {
    const at = this.take(to - from);
    this.files[file].read(offset + from, this.bytes.subarray(at, at + to - from));
    return at;
  }

  floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }
}
