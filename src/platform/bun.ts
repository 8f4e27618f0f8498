// Bun 1: files and threads by Node's modules, mapping by bun:ffi.
import os from "node:os";
import process from "node:process";
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

const api = (globalThis as unknown as { Bun: { version: string } }).Bun;

/** The part of bun:ffi used here. */
interface BunFfi {
  dlopen(path: string, symbols: Record<string, unknown>): { symbols: Record<string, (...args: unknown[]) => unknown> };
}

async function loadFfi(): Promise<BunFfi> {
  // Only Bun knows it: by a name that no bundler for other runtimes can read, or esbuild asks for the module.
  const name = "bun:ffi";
  return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as BunFfi;
}

let mapper: Promise<Mapper | { reason: string }> | undefined;

async function loadMapper(): Promise<Mapper | { reason: string }> {
  const refused = unmappableSystem(process.platform);
  if (refused) return { reason: refused };
  try {
    const { dlopen } = await loadFfi();
    const c = dlopen(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6", {
      mmap: { args: ["ptr", "usize", "i32", "i32", "i32", "i64"], returns: "i64" },
      madvise: { args: ["ptr", "usize", "i32"], returns: "i32" },
      open: { args: ["ptr", "i32"], returns: "i32" },
      close: { args: ["i32"], returns: "i32" },
      getpagesize: { args: [], returns: "i32" },
    }).symbols;
    const libc: Libc = {
      mmap: (...args) => BigInt(c.mmap(...args) as bigint),
      madvise: c.madvise as Libc["madvise"],
      open: (path, flags) => c.open(new TextEncoder().encode(`${path}\0`), flags) as number,
      close: c.close as Libc["close"],
    };
    return createMapper(libc, process.platform, Number(c.getpagesize()));
  } catch (error) {
    return { reason: `the C library's mmap cannot be called: ${(error as Error).message}` };
  }
}

/** What Bun calls what functions take and give. */
const cTypes: Record<ForeignType, string> = { u32: "u32", u64: "u64", f32: "f32", f64: "f64", bytes: "ptr" };

const openLibrary: Foreign["open_library"] = (path, signatures) =>
  callLibrary(path, signatures, async () => {
    const symbols = Object.entries(signatures).map(([name, { parameters, result }]) => [
      name,
      { args: parameters.map((type) => cTypes[type]), returns: cTypes[result] },
    ]);
    return (await loadFfi()).dlopen(path, Object.fromEntries(symbols)).symbols;
  });

export const bun: Platform = {
  name: "bun",
  version: api.version,
  cores: () => os.availableParallelism(),
  available_memory: () => linuxMemory() ?? os.freemem(),
  ...nodeFiles(true),
  ...nodeStore,
  ...nodeSurroundings,
  mapper() {
    mapper ??= loadMapper();
    return mapper;
  },
  open_library: openLibrary,
  native_library: () => nativeLibrary(process.platform, process.arch),
  wasm: readWasm,
  enable_relaxed_simd() {},
  spawn: (name) => spawnThread(name),
  host_port: threadPort,
  next_turn: nextTurn,
  write_stdout: (text) => void process.stdout.write(text),
};
