// The contract of platforms, against the one of the runtime that runs this; and what Deno's permissions leave of it.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { currentPlatform } from "../../src/platform/index.ts";
import { platformContract } from "../contract/platform.ts";
import { demo, root } from "../fixtures.ts";

const { Deno, Bun } = globalThis as { Deno?: unknown; Bun?: unknown };
const name = Deno ? "deno" : Bun ? "bun" : "node";
const can_map = ["linux", "darwin"].includes(process.platform);
console.log(`# ${name}`);
await platformContract(await currentPlatform(), name, can_map);

/** Runs Deno with some permissions on a program that loads a model and tells of it. */
function permitted(...flags: string[]): { info: any; stderr: string } {
  const program = join(root, "dist", "tests", "runtimes", "load.js");
  const args = ["run", "--no-prompt", ...flags, program, demo];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  return { info: stdout && JSON.parse(stdout), stderr };
}

if (Deno) {
  const read = `--allow-read=${[demo, join(root, "dist"), join(root, "node_modules")]}`;

  test("Deno with --allow-read and --allow-ffi maps", () => {
    const { info, stderr } = permitted(read, "--allow-ffi");
    assert.is(info.mapped, can_map, stderr);
  });

  test("Deno without --allow-ffi reads, and says so", () => {
    const { info, stderr } = permitted(read);
    assert.is(info.mapped, false, stderr);
    assert.match(info.reason, "--allow-ffi");
  });

  test("Deno that may not read the model says so", () => {
    const { info, stderr } = permitted(`--allow-read=${join(root, "dist")}`);
    assert.is(info, "");
    assert.match(stderr, /CheckpointError.*cannot be looked at.*--allow-read/);
  });
}

test.run();
