// Node 20 and newer: files by node:fs, threads by node:worker_threads, mapping by koffi (optional).
import { createRequire } from "node:module";
import os from "node:os";
import process from "node:process";
import v8 from "node:v8";
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

let mapper: Promise<Mapper | { reason: string }> | undefined;

type Koffi = typeof import("koffi").default;

/**
 * What koffi takes in each of the team's threads for calls, bytes: it is never given back, even when the thread ends. Kernels
 * have the stack that they have in WebAssembly, and as much again for what koffi does on it. Elsewhere the program's own
 * calls may need what koffi takes by itself.
 */
const CALL_MEMORY = { sync_stack_size: 128 * 1024, sync_heap_size: 64 * 1024 };

/** Whether this is a thread of a team, where nothing but kernels is called. */
let in_team = false;

async function loadKoffi(): Promise<Koffi> {
  try {
    // Bundlers are to leave it to be found, or not, where the program runs.
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ "koffi")).default;
  } catch (error) {
    // A single executable of newer Nodes imports nothing but what is built in; it may lie in a folder that has koffi.
    if (!process.getBuiltinModule?.("node:sea")?.isSea()) throw error;
    return createRequire(process.execPath)("koffi");
  }
}

async function loadMapper(): Promise<Mapper | { reason: string }> {
  const refused = unmappableSystem(process.platform);
  if (refused) return { reason: refused };
  let koffi: Koffi;
  try {
    koffi = await loadKoffi();
  } catch (error) {
    return {
      reason: `koffi, the optional package that maps files in Node, cannot be loaded: ${(error as Error).message}`,
    };
  }
  try {
    const library = koffi.load(null);
    const call = library.func("intptr_t mmap(uint8_t *at, size_t length, int prot, int flags, int fd, int64_t offset)");
    const libc: Libc = {
      mmap: (...args) => BigInt(call(...args)),
      madvise: library.func("int madvise(uint8_t *at, size_t length, int advice)") as Libc["madvise"],
      open: library.func("int open(const char *path, int flags)") as Libc["open"],
      close: library.func("int close(int fd)") as Libc["close"],
    };
    return createMapper(libc, process.platform, Number(library.func("int getpagesize()")()));
  } catch (error) {
    return { reason: `the C library's mmap cannot be called: ${(error as Error).message}` };
  }
}

/** The names that C has for what functions take and give. */
const cTypes: Record<ForeignType, string> = {
  u32: "uint32_t",
  u64: "uint64_t",
  f32: "float",
  f64: "double",
  bytes: "uint8_t *",
};

const openLibrary: Foreign["open_library"] = (path, signatures) =>
  callLibrary(path, signatures, async () => {
    const koffi = await loadKoffi();
    if (in_team) koffi.config(CALL_MEMORY);
    const library = koffi.load(path);
    const functions = Object.entries(signatures).map(([name, { parameters, result }]) => [
      name,
      library.func(
        name,
        cTypes[result],
        parameters.map((type) => cTypes[type]),
      ),
    ]);
    return Object.fromEntries(functions);
  });

/** The program's environment without NODE_OPTIONS, which is for its own thread as the options of its command are. */
function threadEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return env;
}

export const node: Platform = {
  name: "node",
  version: process.version,
  cores: () => os.availableParallelism(),
  available_memory: () => linuxMemory() ?? process.availableMemory?.() ?? os.freemem(),
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
  // Node 20 has relaxed SIMD behind a flag of V8's; later ones need none and do not know it.
  enable_relaxed_simd: () => v8.setFlagsFromString("--experimental-wasm-relaxed-simd"),
  spawn: (name) => spawnThread(name, threadEnvironment()),
  host_port() {
    in_team = true;
    return threadPort();
  },
  next_turn: nextTurn,
  write_stdout: (text) => void process.stdout.write(text),
};
