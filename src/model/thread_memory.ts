// One thread's view of the banks: a kernel instance and typed arrays of each, and its own buffers.
import { type Instantiate, type KernelInstance, stackTop } from "../kernels/abi.ts";
import type { ThreadBuffers } from "../memory/layout.ts";
import type { Setup } from "./step.ts";

/** A bank as a thread uses it: its own kernel instance, and views of all bytes. */
export interface BankView {
  readonly kernels: KernelInstance;
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
}

export class ThreadMemory {
  readonly banks: readonly BankView[];
  readonly own: ThreadBuffers;

  private readonly instantiate: Instantiate;
  private readonly thread: number;

  constructor({ banks, state }: Setup, thread: number, instantiate: Instantiate) {
    this.instantiate = instantiate;
    this.thread = thread;
    this.own = state.own[thread];
    this.banks = banks.map((memory) => this.view(memory));
  }

  /** A memory as this thread uses it. */
  view(memory: WebAssembly.Memory): BankView {
    return {
      kernels: this.instantiate(memory, stackTop(this.thread)),
      f32: new Float32Array(memory.buffer),
      u32: new Uint32Array(memory.buffer),
      i32: new Int32Array(memory.buffer),
      u8: new Uint8Array(memory.buffer),
    };
  }

  /** `count` floats of a bank. */
  floats({ f32 }: BankView, address: number, count: number): Float32Array {
    return f32.subarray(address / 4, address / 4 + count);
  }

  /** Copies `count` floats to the same address of another bank; nothing where the banks are one. */
  copyToBank(from: BankView, to: BankView, address: number, count: number): void {
    if (from !== to) this.copy(from, address, to, address, count);
  }

  copy(from: BankView, source: number, to: BankView, target: number, count: number): void {
    to.f32.set(this.floats(from, source, count), target / 4);
  }
}
