// What every implementation of Platform must do, as suites that each runtime's test calls. They import nothing of any
// runtime: files are made by the caller.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { configure } from "../../src/platform/assets.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { Assets, Platform } from "../../src/platform/platform.ts";
import type { Disk } from "./disk.ts";
import { filesContract } from "./files.ts";
import { mappingContract } from "./mapping.ts";
import { deadLockContract, hashesContract, storeContract, surroundingsContract } from "./store.ts";
import { type ThreadScripts, threadsContract } from "./threads.ts";

/**
 * All suites.
 * @param name - the runtime that it must be of, as the caller knows by other means
 * @param can_map - whether this system and these permissions let it map files
 * @param disk - makes a folder of its own for a suite
 * @param scripts - for threads, where they are no files of the system's
 */
export async function platformContract(
  platform: Platform,
  name: Platform["name"],
  can_map: boolean,
  disk: () => Promise<Disk>,
  scripts?: ThreadScripts,
): Promise<void> {
  runtimeContract(platform, name);
  await filesContract(platform, await disk());
  const store = await disk();
  await storeContract(platform, store);
  await deadLockContract(platform, store);
  hashesContract(platform);
  // A page has neither an environment nor paths of the system's.
  if (name !== "browser") surroundingsContract(platform, store.folder);
  await mappingContract(platform, can_map, await disk());
  threadsContract(platform, await disk(), scripts);
  assetsContract(platform);
}

export function runtimeContract(platform: Platform, name: Platform["name"]): void {
  test("it is the platform of this runtime", async () => {
    assert.is(await currentPlatform(), platform);
    assert.is(platform.name, name);
    assert.match(platform.version, name === "browser" ? /^[A-Z][a-z]+ \d+\.\d+/ : /^v?\d+\.\d+\.\d+/);
  });

  test("cores and memory are plausible", () => {
    assert.ok(Number.isInteger(platform.cores()) && platform.cores() >= 1);
    const memory = platform.available_memory();
    assert.ok(memory === undefined || (memory > 2 ** 20 && memory < 2 ** 50), `${memory} bytes`);
  });
}

export function assetsContract(assets: Assets): void {
  test("the engine's binaries are found", async () => {
    for (const file of ["kernels-simd.wasm", "kernels-relaxed.wasm", "logits.wasm", "convert.wasm"]) {
      const bytes = await assets.wasm(file);
      assert.equal(Array.from(bytes.subarray(0, 8)), [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], file);
    }
  });

  test("configure refuses what is no absolute URL", () => {
    assert.throws(() => configure({ wasm_url: "./wasm" }), /wasm_url.*absolute URL.*\.\/wasm/);
  });
}
