// Loads the kernel builds: relaxed SIMD where the engine has it and its dot agrees with the plain one, else plain.
import { EngineError } from "../errors.ts";
import type { Assets } from "../platform/platform.ts";
import { type Instantiate, instantiate, type KernelInstance, stackTop } from "./abi.ts";
import { FasterDot } from "./faster_dot.ts";
import { createMemory, recycleMemory } from "./memory.ts";

export interface KernelBuild {
  readonly module: WebAssembly.Module;
  readonly simd: "plain" | "relaxed";
  /** Where there are two dots to choose from: in the relaxed build, unless its engine miscompiles one. */
  readonly faster_dot?: FasterDot;
}

const loaded = new Map<string, Promise<KernelBuild>>();

/**
 * The kernel build to use, compiled once for each choice.
 * @param wanted - `auto` takes relaxed SIMD where it can be had; the bits of the results are the same
 * @throws {@link EngineError} when the build asked for cannot run here
 */
export function loadKernels(platform: Assets, wanted: "auto" | "plain" | "relaxed" = "auto"): Promise<KernelBuild> {
  let build = loaded.get(wanted);
  if (!build) {
    build = load(platform, wanted);
    loaded.set(wanted, build);
    build.catch(() => loaded.delete(wanted));
  }
  return build;
}

async function load(platform: Assets, wanted: "auto" | "plain" | "relaxed"): Promise<KernelBuild> {
  if (typeof WebAssembly === "undefined")
    throw new EngineError("this runtime has no WebAssembly, which Tramontane needs (in Node, --jitless takes it away)");
  if (wanted !== "plain") {
    const bytes = (await platform.wasm("kernels-relaxed.wasm")) as BufferSource;
    const hidden = !WebAssembly.validate(bytes);
    if (hidden) platform.enable_relaxed_simd();
    if (WebAssembly.validate(bytes)) {
      const module = await WebAssembly.compile(bytes);
      const faster_dot = askKernels(
        (memory, stack_top) => instantiate(module, memory, stack_top),
        (kernels, memory) => (dotAgrees(kernels, memory) ? new FasterDot(kernels) : undefined),
      );
      // An engine that still hides relaxed SIMD (V8 11, in Node 20) miscompiles the i32 dot where it gathers many sums.
      if (faster_dot) return { module, simd: "relaxed", faster_dot: hidden ? undefined : faster_dot };
    }
    if (wanted === "relaxed") throw new EngineError("relaxed SIMD was asked for, but this runtime does not have it");
  }
  const bytes = (await platform.wasm("kernels-simd.wasm")) as BufferSource;
  if (!WebAssembly.validate(bytes))
    throw new EngineError("this runtime has no WebAssembly SIMD or threads, which Tramontane needs");
  return { module: await WebAssembly.compile(bytes), simd: "plain" };
}

/** Calls `ask` with an instance on a small memory of its own. */
export function askKernels<T>(
  instantiate: Instantiate,
  ask: (kernels: KernelInstance, memory: WebAssembly.Memory) => T,
): T {
  const memory = createMemory(16, "a first memory");
  const answer = ask(instantiate(memory, stackTop(0)), memory);
  new Uint8Array(memory.buffer).fill(0);
  recycleMemory(memory);
  return answer;
}

/** Whether the relaxed dots give the exact sums on extremes and on varied bytes, as every engine must where b is in 0..127. */
function dotAgrees(kernels: KernelInstance, memory: WebAssembly.Memory): boolean {
  const [at, bt, out] = [131072, 131088, 131104];
  const a = new Int8Array(memory.buffer, at, 16);
  const b = new Int8Array(memory.buffer, bt, 16);
  const sums = new Int32Array(memory.buffer, out, 12);
  const cases: [(i: number) => number, (i: number) => number][] = [
    [() => -128, () => 127],
    [() => 127, () => 127],
    [(i) => (i % 2 ? -128 : 127), (i) => (i % 3 ? 127 : 0)],
    [(i) => ((i * 37 + 11) & 255) - 128, (i) => (i * 53 + 7) & 127],
  ];
  for (const [fa, fb] of cases) {
    for (let i = 0; i < 16; i++) {
      a[i] = fa(i);
      b[i] = fb(i);
    }
    kernels.probe_dot(at, bt, out);
    for (let i = 0; i < 12; i++) {
      // Sums 0..3 are the i32 form (4 products each), 4..11 the i16 form (2 products each).
      const [start, count] = i < 4 ? [i * 4, 4] : [(i - 4) * 2, 2];
      let expected = 0;
      for (let j = start; j < start + count; j++) expected += a[j] * b[j];
      if (sums[i] !== expected) return false;
    }
  }
  return true;
}
