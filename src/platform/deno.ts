// Deno 2: files by node:fs, threads by node:worker_threads, mapping by Deno.dlopen where --allow-ffi is given.
import { callLibrary } from "./foreign.ts";
import { readWasm } from "./installed.ts";
import { createMapper, type Libc, unmappableSystem } from "./mmap.ts";
import { nativeLibrary } from "./native_library.ts";
import { nodeFiles } from "./node_files.ts";
import { linuxMemory } from "./node_memory.ts";
import { nodeStore } from "./node_store.ts";
import { nodeSurroundings } from "./node_surroundings.ts";
import type { Foreign, ForeignType, Mapper, Platform } from "./platform.ts";
import { nextTurn, spawnThread, threadPort } from "./threads.ts";

/** The part of Deno's API used here. */
interface DenoApi {
  version: { deno: string };
  build: { os: string; arch: string };
  systemMemoryInfo(): { available: number };
  dlopen(path: string, symbols: Record<string, unknown>): { symbols: Record<string, (...args: unknown[]) => unknown> };
  permissions: { querySync(descriptor: { name: string; path?: string }): { state: string } };
  stdout: { writeSync(bytes: Uint8Array): number };
}
const api = (globalThis as unknown as { Deno: DenoApi }).Deno;

let mapper: Mapper | { reason: string } | undefined;

const mayRead = (path: string) => api.permissions.querySync({ name: "read", path }).state === "granted";
const mayCall = () => api.permissions.querySync({ name: "ffi" }).state === "granted";

function loadMapper(): Mapper | { reason: string } {
  const refused = unmappableSystem(api.build.os);
  if (refused) return { reason: refused };
  if (!mayCall()) return { reason: "Deno maps files only with --allow-ffi" };
  try {
    const names = api.build.os === "darwin" ? ["libSystem.B.dylib"] : ["libc.so.6", "libc.so"];
    const symbols = {
      mmap: { parameters: ["buffer", "usize", "i32", "i32", "i32", "i64"], result: "isize" },
      madvise: { parameters: ["buffer", "usize", "i32"], result: "i32" },
      open: { parameters: ["buffer", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
      getpagesize: { parameters: [], result: "i32" },
    };
    const c = openFirst(names, symbols);
    const libc: Libc = {
      mmap: (at, length, prot, flags, fd, offset) =>
        BigInt(c.mmap(at, BigInt(length), prot, flags, fd, BigInt(offset)) as bigint),
      madvise: (at, length, advice) => c.madvise(at, BigInt(length), advice) as number,
      open: (path, flags) => c.open(new TextEncoder().encode(`${path}\0`), flags) as number,
      close: (fd) => c.close(fd) as number,
    };
    return createMapper(libc, api.build.os, Number(c.getpagesize()));
  } catch (error) {
    return { reason: `the C library's mmap cannot be called: ${(error as Error).message}` };
  }
}

function openFirst(names: string[], symbols: Record<string, unknown>) {
  let last: unknown;
  for (const name of names) {
    try {
      return api.dlopen(name, symbols).symbols;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** What Deno calls what functions take and give. */
const cTypes: Record<ForeignType, string> = { u32: "u32", u64: "u64", f32: "f32", f64: "f64", bytes: "buffer" };

const openLibrary: Foreign["open_library"] = (path, signatures) =>
  callLibrary(path, signatures, () => {
    const symbols = Object.entries(signatures).map(([name, { parameters, result }]) => [
      name,
      { parameters: parameters.map((type) => cTypes[type]), result: cTypes[result] },
    ]);
    return api.dlopen(path, Object.fromEntries(symbols)).symbols;
  });

export const deno: Platform = {
  name: "deno",
  get version() {
    return api.version.deno;
  },
  cores: () => navigator.hardwareConcurrency,
  available_memory() {
    try {
      return linuxMemory() ?? api.systemMemoryInfo().available;
    } catch {
      return undefined; // without --allow-sys
    }
  },
  ...nodeFiles(false), // Deno's descriptors are its own numbers, not the system's
  ...nodeStore,
  ...nodeSurroundings,
  mapper() {
    mapper ??= loadMapper();
    return Promise.resolve(mapper);
  },
  open_library: openLibrary,
  native_library: () =>
    mayCall()
      ? nativeLibrary(api.build.os, api.build.arch === "x86_64" ? "x64" : "arm64", mayRead)
      : { reason: "Deno calls native code only with --allow-ffi" },
  wasm: readWasm,
  enable_relaxed_simd() {},
  spawn: (name) => spawnThread(name),
  host_port: threadPort,
  next_turn: nextTurn,
  write_stdout(text) {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length; ) done += api.stdout.writeSync(bytes.subarray(done));
  },
};
