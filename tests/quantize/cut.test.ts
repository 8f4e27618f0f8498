// quantize that is cut: killed in the midst, out of room, and two runs that write the same file. What stands under the name is
// whole, and the same bytes as without the cut.
import { spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WriteError } from "../../src/errors.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { Command, tramontane, words } from "../cli/command.ts";
import { failure } from "../failure.ts";
import { demo, root } from "../fixtures.ts";

async function inFolder(run: (path: (name: string) => string, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-cut-"));
  try {
    await run((name) => join(folder, name), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How much is said to be safe. */
function safe(note: string): number {
  try {
    return JSON.parse(readFileSync(note, "utf8")).bytes;
  } catch {
    return 0;
  }
}

const SLOW = "IQ3_S"; // some seconds

/** Starts the command, and kills it when a part of OUT is safe. */
async function killed(source: string, out: string): Promise<number> {
  const command = new Command(["quantize", source, out, "--type", SLOW, "--threads", "1"]);
  const note = `${out}.partial.json`;
  const watch = setInterval(() => {
    if (safe(note) > 300_000) command.process.kill("SIGKILL");
  }, 5);
  const { status, stdout } = await command.ended;
  clearInterval(watch);
  assert.is.not(status, 0, "it was to be killed before it ended");
  assert.is(stdout, "");
  return safe(note);
}

test("killed in the midst, the same call goes on, says so, and comes to the same bytes", () =>
  inFolder(async (path, folder) => {
    const source = path("source.gguf");
    await quantize(demo, source, { type: "F16" });
    const kept = await killed(source, path("out.gguf"));
    // The kill may fall between a note written and renamed: what it leaves then is removed in the end.
    const entries = readdirSync(folder).filter((name) => !/\.partial\.json\..+\.part$/.test(name));
    assert.equal(entries.sort(), ["out.gguf.partial", "out.gguf.partial.json", "source.gguf"]);
    writeFileSync(path("out.gguf.partial.json.0.part"), '{"identi');
    const whole = await quantize(source, path("whole.gguf"), { type: SLOW });
    assert.ok(kept > 300_000 && kept < whole.bytes, `${kept} of ${whole.bytes}`);
    assert.is(whole.kept_bytes, 0);
    const { status, stderr } = await tramontane(["quantize", source, path("out.gguf"), "--type", SLOW.toLowerCase()]);
    assert.is(status, 0, stderr);
    assert.match(stderr, /were there from a run that was cut/);
    assert.is(Buffer.compare(readFileSync(path("out.gguf")), readFileSync(path("whole.gguf"))), 0);
    assert.equal(readdirSync(folder).sort(), ["out.gguf", "source.gguf", "whole.gguf"]);
  }));

test("a beginning of another source, or of the same changed since, is begun anew, and that is told", () =>
  inFolder(async (path) => {
    const [source, out] = [path("source.gguf"), path("out.gguf")];
    await quantize(demo, source, { type: "F16" });
    await quantize(source, path("whole.gguf"), { type: "Q8_0" });
    const whole = readFileSync(path("whole.gguf"));
    const note = `${out}.partial.json`;
    for (const [change, kept] of [
      [() => {}, true],
      [() => utimesSync(source, 1e9, 1e9), false],
      [() => writeFileSync(note, readFileSync(note, "utf8").replace(/"identity":"./, '"identity":"-')), false],
      [() => writeFileSync(note, "no note"), false],
      [() => writeFileSync(note, '{"identity": 5, "bytes": -1}'), false],
    ] as const) {
      const controller = new AbortController();
      const cut = quantize(source, out, {
        type: "Q8_0",
        signal: controller.signal,
        overwrite: true,
        progress_callback: ({ progress }) => progress > 50 && controller.abort(new Error("enough")),
      });
      assert.is((await failure(cut)).message, "enough");
      assert.ok(safe(note) > 300_000);
      change();
      const { warnings, kept_bytes } = await quantize(source, out, { type: "Q8_0", overwrite: true });
      assert.is(kept_bytes > 300_000, kept, `${change}`);
      assert.is(
        /out\.gguf\.partial: begun of another source, type or option/.test(warnings.join()),
        !kept,
        `${change}`,
      );
      assert.is(Buffer.compare(readFileSync(out), whole), 0);
    }
  }));

test("two runs with other types write no file of both", () =>
  inFolder(async (path, folder) => {
    const out = path("out.gguf");
    const first = failure(quantize(demo, out, { type: SLOW, threads: 1 })).catch(() => undefined);
    while (safe(`${out}.partial.json`) < 300_000) await new Promise((resolve) => setTimeout(resolve, 5));
    await quantize(demo, out, { type: "Q8_0" });
    const error = await first;
    assert.instance(error, WriteError);
    assert.match(error!.message, /was removed, or begun anew by another run/);
    await quantize(demo, path("whole.gguf"), { type: "Q8_0" });
    assert.is(Buffer.compare(readFileSync(out), readFileSync(path("whole.gguf"))), 0);
    assert.equal(readdirSync(folder).sort(), ["out.gguf", "whole.gguf"]);
  }));

if (process.platform === "linux")
  test("out of room in the midst: an error, nothing under the name, and what was safe is gone on with", () =>
    inFolder(async (path, folder) => {
      const out = path("out.gguf");
      // A file that may not grow beyond 6,000 blocks of a kilobyte stands for a disk that is full.
      const command = words("quantize", demo, out, "--type", "Q8_0", "--threads", "1");
      // The signal that comes with it is ignored, as Node does by itself.
      const script = 'trap "" XFSZ; ulimit -f 6000; exec "$0" "$@"';
      const limited = spawn("bash", ["-c", script, ...command], { cwd: root });
      let told = "";
      limited.stderr.on("data", (text) => (told += text));
      const status = await new Promise((resolve) => limited.on("close", resolve));
      assert.is(status, 1, told);
      assert.match(told, /^tramontane: .*out\.gguf: cannot be written: (EFBIG|File too large)/m);
      assert.not.ok(readdirSync(folder).includes("out.gguf"));
      const { kept_bytes } = await quantize(demo, out, { type: "Q8_0" });
      assert.ok(kept_bytes > 1_000_000 && kept_bytes < 6_144_000, `${kept_bytes}`);
      await quantize(demo, path("whole.gguf"), { type: "Q8_0" });
      assert.is(Buffer.compare(readFileSync(out), readFileSync(path("whole.gguf"))), 0);
    }));

test("what there is no room for is told before anything is written", () =>
  inFolder(async (path, folder) => {
    const platform = await currentPlatform();
    const { free_space } = platform;
    const out = path("out.gguf");
    const { bytes } = await quantize(demo, out, { type: "Q8_0", dry_run: true });
    try {
      platform.free_space = async () => bytes - 1;
      const error = await failure(quantize(demo, out, { type: "Q8_0" }));
      assert.instance(error, WriteError);
      assert.match(error.message, /out\.gguf: needs \d+ bytes on its disk, \d+ are free/);
      assert.equal(readdirSync(folder), []);
      // What is there already needs no room.
      writeFileSync(`${out}.partial`, "x");
      await quantize(demo, out, { type: "Q8_0" });
      assert.ok(statSync(out).size >= bytes);
    } finally {
      platform.free_space = free_space;
    }
  }));

test("a note that cannot be written is named once", () =>
  inFolder(async (path) => {
    mkdirSync(path("out.gguf.partial.json"));
    const error = await failure(quantize(demo, path("out.gguf"), { type: "Q8_0" }));
    assert.instance(error, WriteError);
    assert.match(error.message, /^[^:]*out\.gguf\.partial\.json: cannot be written: (?!.*cannot be written)/);
  }));

test.run();
