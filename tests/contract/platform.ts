// What every implementation of Platform must do, as a function that each runtime's test calls: files and their limits,
// mapping, threads, and the engine's own files.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, MemoryError } from "../../src/errors.ts";
import { configure } from "../../src/platform/assets.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { Mapper, Platform } from "../../src/platform/platform.ts";
import { root } from "../fixtures.ts";

/** Bytes that tell where they are. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + 3) & 255);

async function failure(run: () => unknown): Promise<Error> {
  try {
    await run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a failure");
}

/**
 * @param platform - the implementation
 * @param name - the runtime that it must be of
 * @param can_map - whether this system and these permissions let it map files
 */
export async function platformContract(platform: Platform, name: Platform["name"], can_map: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "file");
  // Three pages of 64 KiB and a bit: whole pages of whatever size the system has, and a part of one.
  const content = pattern(3 * 65536 + 777);
  writeFileSync(path, content);
  mkdirSync(join(folder, "inner"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));

  test("it is the platform of this runtime", async () => {
    assert.is(await currentPlatform(), platform);
    assert.is(platform.name, name);
    assert.match(platform.version, /^v?\d+\.\d+\.\d+/);
  });

  test("cores and memory are plausible", () => {
    assert.ok(Number.isInteger(platform.cores()) && platform.cores() >= 1);
    const memory = platform.available_memory();
    assert.ok(memory === undefined || (memory > 2 ** 20 && memory < 2 ** 50), `${memory} bytes`);
  });

  test("stat, list, join", async () => {
    assert.equal(await platform.stat(path), { kind: "file", size: content.length });
    assert.is((await platform.stat(folder))?.kind, "folder");
    assert.is(await platform.stat(join(folder, "none")), null);
    assert.equal(await platform.list(folder), ["file", "inner"]);
    assert.is(platform.join(folder, "inner", "a"), join(folder, "inner", "a"));
  });

  test("read_file keeps its limit, write_file writes", async () => {
    assert.equal(Uint8Array.from(await platform.read_file(path, content.length)), content);
    assert.instance(await failure(() => platform.read_file(path, content.length - 1)), CheckpointError);
    assert.instance(await failure(() => platform.read_file(join(folder, "none"), 10)), CheckpointError);
    const copy = join(folder, "inner", "copy");
    await platform.write_file(copy, content.subarray(5, 50));
    assert.equal(Uint8Array.from(readFileSync(copy)), content.slice(5, 50));
  });

  test("ranges are read exactly, into shared memory too", async () => {
    const file = await platform.open(path);
    assert.is(file.size, content.length);
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    for (const [offset, length] of [
      [0, 1],
      [4095, 4098],
      [65536, 65536],
      [content.length - 7, 7],
      [content.length, 0],
    ]) {
      const own = new Uint8Array(length);
      await file.read(offset, own);
      assert.equal(own, content.slice(offset, offset + length));
      const shared = new Uint8Array(memory.buffer, 100, length);
      await file.read(offset, shared);
      assert.equal(Uint8Array.from(shared), own);
      assert.is(new Uint8Array(memory.buffer)[100 + length], 0, "not a byte more");
      shared.fill(0);
    }
    await file.close();
    await file.close();
  });

  test("reading past the end is an error that says how far it came", async () => {
    const file = await platform.open(path);
    const error = await failure(() => file.read(content.length - 3, new Uint8Array(8)));
    assert.instance(error, CheckpointError);
    assert.match(
      error.message,
      new RegExp(`expected 8 bytes at offset ${content.length - 3}, found the end.* after 3`),
    );
    await file.close();
  });

  test("what is no file cannot be opened", async () => {
    assert.instance(await failure(() => platform.open(join(folder, "none"))), CheckpointError);
    assert.match((await failure(() => platform.open(folder))).message, /found a folder|cannot be opened/);
  });

  const mapper = await platform.mapper();
  test("mapping is there, or a reason", async () => {
    assert.is("page_size" in mapper, can_map, JSON.stringify(mapper));
    if ("reason" in mapper) assert.ok(mapper.reason.length > 10);
    assert.is(await platform.mapper(), mapper, "decided once");
  });
  if ("page_size" in mapper) mappingContract(platform, mapper, path, content);

  threadContract(platform);

  test("the engine's binaries are found", async () => {
    for (const file of ["kernels-simd.wasm", "kernels-relaxed.wasm", "logits.wasm"]) {
      const bytes = await platform.wasm(file);
      assert.equal(Uint8Array.from(bytes), Uint8Array.from(readFileSync(join(root, "dist", "wasm", file))));
    }
  });

  test("configure refuses what is no absolute URL", () => {
    assert.throws(() => configure({ wasm_url: "./wasm" }), /wasm_url.*absolute URL.*\.\/wasm/);
  });

  test("standard output takes text as it is", () => {
    const script = join(folder, "print.mjs");
    const index = new URL("../../src/platform/index.js", import.meta.url).href;
    writeFileSync(
      script,
      `import { currentPlatform } from ${JSON.stringify(index)}; (await currentPlatform()).write_stdout("é\\n🦩x");`,
    );
    const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
    assert.is(stdout, "é\n🦩x", stderr);
  });
}

function mappingContract(platform: Platform, mapper: Mapper, path: string, content: Uint8Array): void {
  const { page_size } = mapper;
  const shared = (pages: number) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });

  test("files are mapped over shared memory, from any page, and stay when the file is closed", async () => {
    const memory = shared(8);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(9);
    const file = await platform.open(path);
    mapper.map(memory, 2 * page_size, file, page_size, 2 * page_size);
    await file.close();
    const mapped = bytes.slice(2 * page_size, 4 * page_size);
    assert.equal(mapped, content.slice(page_size, 3 * page_size));
    assert.is(bytes[2 * page_size - 1], 9);
    assert.is(bytes[4 * page_size], 9);
    mapper.will_need(memory, 2 * page_size + 5, page_size);
    mapper.unmap(memory, 2 * page_size, 2 * page_size);
    assert.ok(
      bytes.slice(2 * page_size, 4 * page_size).every((byte) => byte === 0),
      "unmapped pages are zero",
    );
    bytes[2 * page_size] = 1; // and can be written
  });

  test("the end of a file is followed by zeros", async () => {
    const memory = shared(8);
    const file = await platform.open(path);
    const start = Math.floor(content.length / page_size) * page_size;
    mapper.map(memory, 0, file, start, content.length - start);
    const bytes = new Uint8Array(memory.buffer).slice(0, page_size);
    const rest = content.length - start;
    assert.equal(bytes.slice(0, rest), content.slice(start));
    assert.ok(bytes.slice(rest).every((byte) => byte === 0));
    mapper.unmap(memory, 0, page_size);
    await file.close();
  });

  test("mapping is private: a write does not reach the file", async () => {
    const memory = shared(8);
    const file = await platform.open(path);
    mapper.map(memory, 0, file, 0, page_size);
    new Uint8Array(memory.buffer, 0, 100).fill(255);
    assert.equal(Uint8Array.from(readFileSync(path)), content);
    mapper.release(memory, 0, page_size);
    assert.equal(new Uint8Array(memory.buffer).slice(0, 100), content.slice(0, 100), "a mapped page reads as the file");
    mapper.unmap(memory, 0, page_size);
    await file.close();
  });

  test("released pages of a memory's own read as zero", () => {
    const memory = shared(4);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(7);
    mapper.release(memory, page_size, page_size);
    assert.equal([bytes[page_size - 1], bytes[page_size], bytes[2 * page_size]], [7, 0, 7]);
  });

  test("what is no whole page, or beyond the memory, is refused", async () => {
    const memory = shared(4);
    const file = await platform.open(path);
    for (const [address, offset, length] of [
      [1, 0, page_size],
      [0, 1, page_size],
      [memory.buffer.byteLength, 0, page_size],
      [0, 0, memory.buffer.byteLength + page_size],
    ]) {
      const error = await failure(() => mapper.map(memory, address, file, offset, length));
      assert.instance(error, MemoryError);
      assert.match(error.message, path);
    }
    await file.close();
  });
}

function threadContract(platform: Platform): void {
  /** A thread of the team, and its first word. */
  const start = async () => {
    const worker = platform.spawn("contract");
    const messages: any[] = [];
    let wake = () => {};
    worker.on_message((message) => {
      messages.push(message);
      wake();
    });
    const next = async () => {
      while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return messages.shift();
    };
    assert.equal(await next(), { type: "loaded" });
    return { worker, next };
  };

  test("a thread takes messages and answers; what it throws comes back", async () => {
    const { worker, next } = await start();
    // A step before the setup: the thread's own code fails, and says so.
    worker.post({
      type: "step",
      step: 1,
      work: { memory: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }) },
    });
    const reply = await next();
    assert.is(reply.type, "failed");
    assert.type(reply.error.message, "string");
    await worker.terminate();
  });

  test("a thread that dies is told once; one that is ended is not", async () => {
    const { worker } = await start();
    let failures = 0;
    worker.on_failure(() => failures++);
    await worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.is(failures, 0);

    configure({ worker_url: `data:text/javascript,${encodeURIComponent('throw new Error("it died")')}` });
    try {
      const dying = platform.spawn("dying");
      const causes: unknown[] = [];
      await new Promise<void>((resolve) => {
        dying.on_failure((cause) => {
          causes.push(cause);
          resolve();
        });
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.is(causes.length, 1);
      assert.match((causes[0] as Error).message, "it died");
    } finally {
      configure({ worker_url: new URL("../../src/model/worker.js", import.meta.url) });
    }
  });

  test("a thread that waits for ever can be ended", async () => {
    const script = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
    configure({ worker_url: `data:text/javascript,${encodeURIComponent(script)}` });
    try {
      const worker = platform.spawn("waiting");
      await new Promise((resolve) => setTimeout(resolve, 100));
      const begun = Date.now();
      await worker.terminate();
      assert.ok(Date.now() - begun < 2000);
    } finally {
      configure({ worker_url: new URL("../../src/model/worker.js", import.meta.url) });
    }
  });

  test("a thread's port is only in a thread", () => {
    assert.throws(() => platform.host_port(), /not a thread/);
  });
}
