// Instantiates the committed kernel builds for tests, and the native kernels where they were built: one memory, a bump
// allocator, typed views.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import v8 from "node:v8";
import { instantiate, stackTop } from "../../src/kernels/abi.ts";
import { type FieldType, type Struct, writeStruct } from "../../src/kernels/structs.ts";
import { levelsOf, type NativeLibrary, openNative } from "../../src/offload/library.ts";
import { nativeInstance } from "../../src/offload/native.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { formats, ownFormats, repackedFormats } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";

// Node 20 hides relaxed SIMD behind a flag, which later ones do not know.
if (Number.parseInt(process.versions.node, 10) < 22) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");

export type WasmBuild = "simd" | "relaxed";
/** Of native kernels, a level of vector units that this processor has. */
export type Build = WasmBuild | `native ${string}`;
export const wasmBuilds: WasmBuild[] = ["simd", "relaxed"];

const library = await openLibrary();
const levels = library ? levelsOf(library) : [];
export const builds: Build[] = [...wasmBuilds, ...levels.map((level): Build => `native ${level}`)];

/** The library, where there is one: it must be of these sources. */
async function openLibrary(): Promise<NativeLibrary | undefined> {
  const platform = await currentPlatform();
  const path = platform.native_library();
  if (typeof path !== "string") return undefined;
  const opened = await openNative(platform, path);
  if (!("sources" in opened)) throw new Error(opened.reason);
  return opened;
}

type Functions = Record<string, (...args: number[]) => number>;

/** What a WebAssembly instance exports, by native kernels of a level. */
function nativeFunctions(level: string, memory: WebAssembly.Memory, module: WebAssembly.Module): Functions {
  const instance = nativeInstance(library!, memory, instantiate(module, memory, stackTop(0)));
  const functions: Record<string, unknown> = { ...instance };
  for (const format of [formats, repackedFormats, ownFormats].flatMap((some) => Object.values(some)))
    for (const [name, kernel] of Object.entries(instance.format(format)))
      functions[`${name}_${format.name.toLowerCase()}`] = kernel;
  const index = levels.indexOf(level);
  return Object.fromEntries(
    Object.entries(functions).map(([name, call]) => [
      name,
      (...args: number[]) => {
        library!.choose(index);
        return (call as (...args: number[]) => number)(...args);
      },
    ]),
  );
}

/** A kernel instance on a memory of its own. */
export class Kernels {
  readonly memory: WebAssembly.Memory;
  readonly fn: Functions;
  private next = stackTop(0);

  constructor(build: Build, pages = 2048) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const native = build.startsWith("native ");
    const module = new WebAssembly.Module(
      readFileSync(join(root, "wasm", `kernels-${native ? "relaxed" : build}.wasm`)),
    );
    if (native) {
      this.fn = nativeFunctions(build.slice("native ".length), this.memory, module);
      return;
    }
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
