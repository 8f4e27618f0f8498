// What computes: WebAssembly, or the kernels compiled for the host where they are there. Both give the same bits.
import { EngineError } from "../errors.ts";
import { type Instantiate, instantiate } from "../kernels/abi.ts";
import { type KernelBuild, loadKernels } from "../kernels/load.ts";
import type { Assets, Foreign } from "../platform/platform.ts";
import type { NativeKernels, NativeLibrary } from "./library.ts";

/** What computes: WebAssembly, the kernels compiled for this machine, or the best of these that is there. */
export type Device = "cpu" | "wasm" | "native";
export const devices: readonly Device[] = ["cpu", "wasm", "native"];

/** What a team computes with. */
export interface DeviceKernels {
  readonly device: "wasm" | "native";
  /** Why not native, where that could have been. */
  readonly reason?: string | undefined;
  readonly build: KernelBuild;
  readonly native?: NativeKernels | undefined;
  /** On a memory, in this thread. */
  readonly instantiate: Instantiate;
}

/**
 * Loads the kernels of a device.
 * @param simd - which build in WebAssembly, which there is beside native kernels, too
 * @throws {@link EngineError} when the device or build that was asked for is not to be had
 */
export async function loadDevice(
  platform: Assets & Foreign,
  device: Device = "cpu",
  simd?: "auto" | "plain" | "relaxed",
): Promise<DeviceKernels> {
  const build = await loadKernels(platform, simd);
  const wasm = (reason?: string): DeviceKernels => ({
    device: "wasm",
    reason,
    build,
    instantiate: instancesOf(build.module),
  });
  // Who names a build wants to see that one.
  if (device === "wasm" || (device === "cpu" && simd !== undefined && simd !== "auto")) return wasm();
  const found = await findNative(platform);
  if (!("reason" in found)) {
    const { native, library } = found;
    return { device: "native", build, native, instantiate: await nativeInstancesOf(build.module, library) };
  }
  if (device === "native") throw new EngineError(`device: native kernels were asked for: ${found.reason}`);
  return wasm(found.reason);
}

/** This machine's library, opened. What calls it is loaded where there is one: no page needs it. */
async function findNative(platform: Foreign) {
  const path = platform.native_library();
  return typeof path === "string" ? (await import("./library.ts")).chooseLevel(platform, path) : path;
}

const instancesOf =
  (module: WebAssembly.Module): Instantiate =>
  (memory, stack_top) =>
    instantiate(module, memory, stack_top);

async function nativeInstancesOf(module: WebAssembly.Module, library: NativeLibrary): Promise<Instantiate> {
  const { nativeInstance } = await import("./native.ts");
  return (memory, stack_top) => nativeInstance(library, memory, instantiate(module, memory, stack_top));
}

/** Makes instances in this thread of what the team's host has chosen. @throws EngineError */
export async function instantiator(
  platform: Foreign,
  module: WebAssembly.Module,
  native: NativeKernels | undefined,
): Promise<Instantiate> {
  if (!native) return instancesOf(module);
  const library = await (await import("./library.ts")).openNative(platform, native.path);
  if (!("sources" in library)) throw new EngineError(`native kernels: ${library.reason}`);
  return nativeInstancesOf(module, library);
}
