// The contract of platforms, against the one of the runtime that runs this; what only systems with files of their own
// have; and what Deno's permissions leave of it.
import { spawn, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WriteError } from "../../src/errors.ts";
import { saveFile } from "../../src/platform/files.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { type Disk, failure } from "../contract/disk.ts";
import { platformContract } from "../contract/platform.ts";
import { demo, root } from "../fixtures.ts";

const { Deno, Bun } = globalThis as { Deno?: unknown; Bun?: unknown };
const name = Deno ? "deno" : Bun ? "bun" : "node";
const unix = process.platform !== "win32";
const can_map = ["linux", "darwin"].includes(process.platform);
const platform = await currentPlatform();

const temporary = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(temporary, { recursive: true, force: true }));

async function makeDisk(): Promise<Disk> {
  const folder = mkdtempSync(join(temporary, "disk-"));
  const path = (name: string) => join(folder, name);
  return {
    folder,
    async make(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
    async replace(name, bytes) {
      writeFileSync(path(`${name}.new`), bytes);
      renameSync(path(`${name}.new`), path(name));
    },
    async makeFolder(name) {
      mkdirSync(path(name));
      return path(name);
    },
    remove: async (name) => rmSync(path(name), { recursive: true }),
    bytes: async (path) => Uint8Array.from(readFileSync(path)),
  };
}

console.log(`# ${name}`);
await platformContract(platform, name, can_map, makeDisk);

test("the engine's binaries are those of the build", async () => {
  for (const file of readdirSync(join(root, "dist", "wasm")).filter((name) => name.endsWith(".wasm")))
    assert.equal(
      Uint8Array.from(await platform.wasm(file)),
      Uint8Array.from(readFileSync(join(root, "dist", "wasm", file))),
    );
});

test("standard output takes text as it is", () => {
  const script = join(temporary, "print.mjs");
  const index = new URL("../../src/platform/index.js", import.meta.url).href;
  writeFileSync(
    script,
    `import { currentPlatform } from ${JSON.stringify(index)}; (await currentPlatform()).write_stdout("é\\n🦩x");`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  assert.is(stdout, "é\n🦩x", stderr);
});

if (unix) {
  const text = (words: string) => new TextEncoder().encode(words);
  const save = (path: string, words: string) => saveFile(platform, path, (file) => file.write(text(words)));

  test("a link to a file stays, and its file is written; a file's permissions stay, too", async () => {
    const { folder, make } = await makeDisk();
    const file = await make("file", text("before"));
    spawnSync("chmod", ["600", file]);
    symlinkSync("file", join(folder, "link"));
    await save(join(folder, "link"), "after");
    assert.equal(readdirSync(folder), ["file", "link"]);
    assert.is(readFileSync(file, "utf8"), "after");
    assert.is(statSync(file).mode & 0o777, 0o600);
  });

  test("a file whose bytes did not all arrive cannot be closed as if they had", async () => {
    if (process.platform !== "linux") return;
    const sink = await platform.create("/dev/full");
    await failure(() => sink.write(text("some")), WriteError, /^\/dev\/full: cannot be written: .*ENOSPC|space/i);
    await failure(() => sink.close(), WriteError, /given up/);
  });

  test("a pipe is written as it is, and is a pipe afterwards", async () => {
    const path = join((await makeDisk()).folder, "pipe");
    spawnSync("mkfifo", [path]);
    const reader = spawn("cat", [path]);
    let read = "";
    reader.stdout.on("data", (bytes) => (read += bytes));
    const ended = new Promise((resolve) => reader.on("close", resolve));
    await save(path, "through");
    await ended;
    assert.is(read, "through");
    assert.ok(statSync(path).isFIFO());
  });
}

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
