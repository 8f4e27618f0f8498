// The page's own files do what files everywhere must; what is theirs alone: locks among workers, what threads read, long files.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, WriteError } from "../../src/errors.ts";
import { browser } from "../../src/platform/browser.ts";
import { content, failure, pattern } from "../contract/disk.ts";
import { filesContract } from "../contract/files.ts";
import { storeContract } from "../contract/store.ts";
import { opfsDisk } from "./opfs.ts";

await filesContract(browser, await opfsDisk());
await storeContract(browser, await opfsDisk());

test("a path is what its names are, and no page has files of the system", async () => {
  const disk = await opfsDisk();
  const path = await disk.make("file", pattern(9));
  assert.is((await browser.stat(path.replace("opfs:/", "opfs:").replace("/file", "//./file")))?.size, 9);
  assert.equal(await browser.stat("opfs:/"), { kind: "folder", size: 0 });
  assert.is(browser.join(browser.home_folder(), ".cache", "x"), "opfs:/.cache/x");
  assert.is(await browser.stat("/etc/passwd"), null);
  await failure(() => browser.create("/tmp/file"), WriteError, /cannot be written: a page has no such files/);
  const estimate = await navigator.storage.estimate();
  const free = (await browser.free_space(path))!;
  assert.ok(free > 0 && free <= estimate.quota!);
});

test("a thread reads an open file, and is told where it was written to since", async () => {
  const disk = await opfsDisk();
  const path = await disk.make("file", content);
  const file = await browser.open(path);
  const again = browser.openSync(structuredClone(file.handle));
  const into = new Uint8Array(5000);
  again.read(4095, into);
  assert.equal(into, content.slice(4095, 9095));
  assert.throws(() => again.read(content.length - 1, new Uint8Array(2)), /found the end of the file after 1/);
  again.read(content.length - 1, new Uint8Array(2), 1);
  again.close();
  assert.is(await file.state?.(), "same");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await disk.make("file", pattern(content.length + 1));
  assert.is(await file.state?.(), "changed");
  await failure(() => file.read(0, into), CheckpointError, /changed or replaced since it was opened/);
});

test("a folder with others in it is renamed, and a file takes another's place", async () => {
  const disk = await opfsDisk();
  const path = (name: string) => `${disk.folder}/${name}`;
  await browser.make_folder(path("a/b"));
  await disk.make("a/b/file", content);
  await browser.rename(path("a"), path("c"));
  assert.is(await browser.stat(path("a")), null);
  assert.equal(await disk.bytes(path("c/b/file")), content);
  await disk.make("other", pattern(3));
  await browser.rename(path("other"), path("c/b/file"));
  assert.equal(await disk.bytes(path("c/b/file")), pattern(3));
  await browser.copy(path("c/b/file"), path("copy"));
  await browser.copy(path("copy"), path("c/b/file"));
  assert.equal(await browser.list(disk.folder), ["c", "copy"]);
});

test("a long file is gone on with behind its last mark, and begun anew where it is to be another", async () => {
  const disk = await opfsDisk();
  const path = `${disk.folder}/long`;
  const first = await browser.resume(path, "one");
  await first.write(content.subarray(0, 1000));
  await first.mark();
  await first.write(content.subarray(1000, 1500));
  await first.abort();
  assert.is(await browser.stat(path), null);
  const second = await browser.resume(path, "one");
  assert.is(second.kept, 1000);
  await second.write(content.subarray(1000));
  await second.close();
  assert.equal(await disk.bytes(path), content);
  assert.equal(await browser.list(disk.folder), ["long"]);
  const third = await browser.resume(path, "one");
  await third.write(pattern(10));
  await third.mark();
  await third.abort();
  const other = await browser.resume(path, "two");
  assert.equal([other.kept, other.replaced], [0, true]);
  await other.abort();
  assert.equal(await browser.list(disk.folder), ["long"]);
  assert.equal(await disk.bytes(path), content);
  await failure(() => other.write(pattern(1)), WriteError, /given up/);
});

test("a worker that is ended holds no lock and no file any more", async () => {
  const disk = await opfsDisk();
  const path = `${disk.folder}/held`;
  const worker = new Worker(new URL("./holding.thread.js", import.meta.url), { type: "module" });
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(path);
  });
  let free: (() => Promise<void>) | undefined;
  const waiting = browser.lock(path).then((unlock) => (free = unlock));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(free, undefined);
  worker.terminate();
  await waiting;
  const file = await browser.patch(path);
  assert.is(file.size, 100, "what it had written is there");
  await file.close();
  await free!();
});

test("how much can still be kept is told, and tried", async () => {
  const disk = await opfsDisk();
  assert.ok((await browser.free_space(disk.folder, 2 ** 28))! >= 2 ** 28);
  assert.not(
    (await browser.list("opfs:")).some((name) => name.startsWith("room")),
    "nothing is left of trying",
  );
  assert.is(await browser.persisted!(), false);
});

test("who writes a file is alone with it", async () => {
  const disk = await opfsDisk();
  const path = `${disk.folder}/file`;
  const file = await browser.patch(path);
  await failure(() => browser.patch(path), WriteError, /another tab or worker has it open/);
  await file.close();
  await (await browser.patch(path)).close();
});

test.run();
