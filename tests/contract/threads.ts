// What every platform's threads must do: take messages and answer, tell of their end, and read files while they block.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { configure } from "../../src/platform/assets.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { type FileHandleRef, type Platform, SECTOR_BYTES } from "../../src/platform/platform.ts";
import { content, type Disk, pattern, sharedMemory } from "./disk.ts";
import type { Answer, Question } from "./thread.ts";

/** Scripts for threads: the team's, thread.ts, one that throws "it died", and one that waits for ever. */
export interface ThreadScripts {
  readonly team: URL;
  readonly answering: URL;
  readonly dying: URL | string;
  readonly waiting: URL | string;
}

const withCode = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;

/** Where the runtime reads modules from files, and from text. */
const systemScripts = (): ThreadScripts => ({
  team: new URL("../../src/model/worker.js", import.meta.url),
  answering: new URL("./thread.js", import.meta.url),
  dying: withCode('throw new Error("it died")'),
  waiting: withCode("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"),
});

/** A thread that has said its first word, and what it says next. */
async function start(platform: Platform) {
  const worker = platform.spawn("tramontane 0");
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
}

/** Where there are no threads, what is left of them is tested. */
export function threadsContract(platform: Platform, disk: Disk, scripts: ThreadScripts = systemScripts()): void {
  /** Runs with another script for threads than the team's. */
  const withScript = async (script: URL | string, run: () => Promise<void>): Promise<void> => {
    configure({ worker_url: script });
    try {
      await run();
    } finally {
      configure({ worker_url: scripts.team });
    }
  };

  test("a thread takes messages and answers; what it throws comes back", async () => {
    const { worker, next } = await start(platform);
    // A step before the setup: the thread's own code fails, and says so.
    worker.post({ type: "step", step: 1, work: { memory: sharedMemory(1) } });
    const reply = await next();
    assert.is(reply.type, "failed");
    assert.type(reply.error.message, "string");
    await worker.terminate();
  });

  test("a thread that was ended did not fail, and hears and says nothing more", async () => {
    const { worker, next } = await start(platform);
    let failures = 0;
    worker.on_failure(() => failures++);
    await worker.terminate();
    worker.post({ type: "job" });
    const heard = next().then(() => "something");
    const silence = new Promise((resolve) => setTimeout(resolve, 50, "nothing"));
    assert.is(await Promise.race([heard, silence]), "nothing");
    assert.is(failures, 0);
  });

  test("a thread's port is only in a thread", () => {
    assert.throws(() => platform.host_port(), /not a thread/);
  });

  if (platform.alone !== undefined) return;

  test("a thread that dies is told once", async () => {
    await withScript(scripts.dying, async () => {
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
    });
  });

  test("a thread that waits for ever can be ended", async () => {
    await withScript(scripts.waiting, async () => {
      const worker = platform.spawn("waiting");
      await new Promise((resolve) => setTimeout(resolve, 100));
      const begun = Date.now();
      await worker.terminate();
      assert.ok(Date.now() - begun < 2000);
    });
  });

  test("a thread opens by its handle the file that was opened, and no other", async () => {
    const path = await disk.make("handed", content);
    const file = await platform.open(path);
    await file.close();
    await withScript(scripts.answering, async () => {
      const { worker, next } = await start(platform);
      const memory = sharedMemory(4);
      const ask = async (ref: FileHandleRef, offset: number, length: number, least?: number): Promise<Answer> => {
        new Uint8Array(memory.buffer).fill(0);
        worker.post({ ref, offset, length, memory, least } satisfies Question);
        const answer: Answer = await next();
        assert.is(answer.platform, platform.name, "the thread's platform");
        return answer;
      };
      const refs = [file.handle, memoryFile("bytes", content).handle];
      for (const ref of refs) {
        for (const [offset, length] of [
          [0, content.length],
          [65535, 3],
          [content.length, 0],
        ]) {
          const { own } = await ask(ref, offset, length);
          assert.equal(own, content.slice(offset, offset + length));
          assert.equal(new Uint8Array(memory.buffer).slice(0, length), own, "the same in shared memory");
          assert.is(new Uint8Array(memory.buffer)[length], 0, "not a byte more");
        }
        const { error } = await ask(ref, content.length - 3, 8);
        assert.match(error!, `CheckpointError: ${ref.path}: expected 8 bytes at offset ${content.length - 3}`);
        assert.match(error!, "after 3");
      }
      for (const ref of refs) {
        const end = Math.ceil(content.length / SECTOR_BYTES) * SECTOR_BYTES;
        for (const [offset, length, least] of [
          [0, 2 * SECTOR_BYTES, 2 * SECTOR_BYTES],
          [5 * SECTOR_BYTES, SECTOR_BYTES, 17],
          [SECTOR_BYTES, end - SECTOR_BYTES, content.length - SECTOR_BYTES],
        ]) {
          const { own, error } = await ask(ref, offset, length, least);
          assert.is(error, undefined);
          assert.equal(own, content.slice(offset, offset + least), "whole sectors, to the end of the file");
        }
        const { error } = await ask(ref, end - SECTOR_BYTES, SECTOR_BYTES, (content.length % SECTOR_BYTES) + 1);
        assert.match(error!, `after ${content.length % SECTOR_BYTES}`);
      }
      if (disk.tells_changes === false) return worker.terminate();
      // As long as the first, so that only the place or the time can tell.
      await disk.replace("handed", pattern(content.length).reverse());
      assert.match(String((await ask(file.handle, 0, 1)).error), /handed: the file was changed or replaced/);
      await disk.make("handed", pattern(5));
      assert.match(String((await ask(file.handle, 0, 1)).error), /handed: the file was changed or replaced/);
      await worker.terminate();
    });
  });
}
