// Instantiates the committed kernel builds for tests: one memory, a bump allocator, typed views.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import v8 from "node:v8";
import { stackTop } from "../../src/kernels/abi.ts";
import { type FieldType, type Struct, writeStruct } from "../../src/kernels/structs.ts";
import { root } from "../fixtures.ts";

// Node 20 hides relaxed SIMD behind a flag, which later ones do not know.
if (Number.parseInt(process.versions.node, 10) < 22) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");

export type Build = "simd" | "relaxed";
export const builds: Build[] = ["simd", "relaxed"];

/** A kernel instance on a memory of its own. */
export class Kernels {
  readonly memory: WebAssembly.Memory;
  readonly fn: Record<string, (...args: number[]) => number>;
  private next = stackTop(0);

  constructor(build: Build, pages = 2048) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const module = new WebAssembly.Module(readFileSync(join(root, "wasm", `kernels-${build}.wasm`)));
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory } });
    this.fn = instance.exports as never;
    (instance.exports["__stack_pointer"] as WebAssembly.Global).value = stackTop(0);
  }

  /** Room for `bytes` bytes at a multiple of 64, zeroed unless memory was freed by `reset`. */
  alloc(bytes: number): number {
    const at = this.next;
    this.next += Math.ceil(bytes / 64) * 64;
    if (this.next > this.memory.buffer.byteLength) throw new Error("the test's memory is full");
    return at;
  }

  reset(): void {
    this.next = stackTop(0);
  }

  f32(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }
  u32(at: number, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, at, length);
  }
  i32(at: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, length);
  }
  u8(at: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  /** Copies an array into fresh memory and returns its address. */
  put(values: Float32Array | Uint8Array | Uint32Array | Int32Array): number {
    const at = this.alloc(values.byteLength);
    this.u8(at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return at;
  }

  /** Writes all fields of a kernel's struct into fresh memory and returns its address. */
  struct<Fields extends Record<string, FieldType>>(
    of: Struct<Fields>,
    values: { readonly [Name in keyof Fields]: number },
  ): number {
    const at = this.alloc(of.bytes);
    const { buffer } = this.memory;
    writeStruct({ u32: new Uint32Array(buffer), f32: new Float32Array(buffer) }, at, of, values);
    return at;
  }
}

/** Bit patterns, to compare floats exactly (NaN and the sign of zero included). */
export const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.slice().buffer);
