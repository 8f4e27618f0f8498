// The contracts of files and of stores over the Origin Private File System, made and looked into by its own interface; and what
// only a page's files do.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WriteError } from "../../src/errors.ts";
import { browser } from "../../src/platform/browser.ts";
import { content, type Disk, failure, pattern } from "../contract/disk.ts";
import { filesContract } from "../contract/files.ts";
import { mappingContract } from "../contract/mapping.ts";
import { storeContract } from "../contract/store.ts";
import "./engine_here.ts";

const root = await navigator.storage.getDirectory();
for await (const name of root.keys()) await root.removeEntry(name, { recursive: true });

/** A folder and a name in it, by a path below another folder. */
async function placeOf(top: FileSystemDirectoryHandle, path: string) {
  const names = path.split("/");
  const name = names.pop()!;
  let folder = top;
  for (const each of names) folder = await folder.getDirectoryHandle(each);
  return { folder, name };
}

let disks = 0;
async function freshDisk(): Promise<Disk> {
  const own = `disk-${++disks}`;
  const top = await root.getDirectoryHandle(own, { create: true });
  const prefix = `opfs:/${own}`;
  const write = async (path: string, bytes: Uint8Array) => {
    const { folder, name } = await placeOf(top, path);
    const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await writable.write(Uint8Array.from(bytes));
    await writable.close();
    return `${prefix}/${path}`;
  };
  return {
    folder: prefix,
    make: write,
    async replace(path, bytes) {
      const { folder, name } = await placeOf(top, path);
      await folder.removeEntry(name);
      await write(path, bytes);
    },
    async makeFolder(path) {
      const { folder, name } = await placeOf(top, path);
      await folder.getDirectoryHandle(name, { create: true });
      return `${prefix}/${path}`;
    },
    async remove(path) {
      const { folder, name } = await placeOf(top, path);
      await folder.removeEntry(name, { recursive: true });
    },
    async bytes(path) {
      const { folder, name } = await placeOf(top, path.slice(prefix.length + 1));
      return new Uint8Array(await (await (await folder.getFileHandle(name)).getFile()).arrayBuffer());
    },
  };
}

await filesContract(browser, await freshDisk());
await storeContract(browser, await freshDisk());
await mappingContract(browser, false, await freshDisk());
const disk = await freshDisk();
const at = (name: string) => browser.join(disk.folder, name);

test("paths are taken apart by slashes, and none leads out of the page's files", async () => {
  const path = await disk.make("file", pattern(3));
  assert.is(browser.join(disk.folder, "inner", "..", ".", "file"), path);
  assert.is(browser.join("opfs:", ".cache", "hub"), "opfs:/.cache/hub");
  assert.is(browser.join("opfs:/", "..", "..", "x"), "opfs:/x");
  assert.equal(await browser.stat(`opfs:/../../${disk.folder.slice(6)}//file`), { kind: "file", size: 3 });
  await failure(() => browser.create("model.gguf"), WriteError, /model\.gguf: cannot be written: .*opfs:\//);
});

test("a file is read while another reads it; a thread reads it by its handle; what is written over is found out", async () => {
  const path = await disk.make("read", content);
  const files = await Promise.all([browser.open(path), browser.open(path)]);
  const sync = browser.openSync(files[0].handle);
  const [own, blocking] = [new Uint8Array(100), new Uint8Array(100)];
  for (const file of files) await file.read(70_000, own);
  sync.read(70_000, blocking);
  assert.equal(own, content.slice(70_000, 70_100));
  assert.equal(blocking, own);
  assert.is(await files[0].state!(), "same");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await disk.make("read", content.slice(1));
  assert.is(await files[0].state!(), "changed");
  await browser.remove(path);
  assert.is(await files[0].state!(), "replaced");
  await files[0].close();
});

test("a file that is being written can be looked at, and is written by one alone", async () => {
  const file = await browser.patch(at("patched"));
  await file.truncate(1000);
  await file.write(0, pattern(10));
  await file.sync();
  assert.is((await browser.stat(at("patched")))?.size, 1000);
  assert.is((await browser.entries(disk.folder)).find(({ name }) => name === "patched")?.size, 1000);
  await failure(() => browser.patch(at("patched")), WriteError, /patched: cannot be written: another tab or worker/);
  const next = browser.patch(at("patched"));
  await file.close();
  await (await next).close();
  await browser.remove(at("patched"));
});

test("a renamed file takes another's place", async () => {
  await disk.make("old", pattern(5));
  await disk.make("new", pattern(9));
  await browser.rename(at("new"), at("old"));
  assert.equal(await disk.bytes(at("old")), pattern(9));
  assert.is(await browser.stat(at("new")), null);
  await browser.make_folder(at("folder/inner"));
  await disk.make("folder/inner/file", pattern(4));
  await browser.rename(at("folder"), at("moved"));
  assert.equal(await disk.bytes(at("moved/inner/file")), pattern(4));
  assert.is(await browser.stat(at("folder")), null);
});

test("a long file is gone on with by its identity, and begun anew by another", async () => {
  const path = at("long");
  const first = await browser.resume(path, "one");
  assert.is(first.kept, 0);
  await first.write(content.subarray(0, 100_000));
  await first.mark();
  await first.write(content.subarray(100_000, 110_000));
  await first.abort();
  const second = await browser.resume(path, "one");
  assert.equal([second.kept, second.replaced], [100_000, false]);
  await second.write(content.subarray(100_000));
  assert.is(await browser.stat(path), null);
  await second.close();
  assert.equal(await disk.bytes(path), content);
  const third = await browser.resume(path, "one");
  await third.write(pattern(7));
  await third.mark();
  await third.abort();
  const other = await browser.resume(path, "two");
  assert.equal([other.kept, other.replaced], [0, true]);
  await other.abort();
  assert.equal(await disk.bytes(path), content, "what was whole stays");
  assert.equal(
    (await browser.list(disk.folder)).filter((name) => name.startsWith("long")),
    ["long"],
  );
});

test("a worker that is ended holds no lock and no file any more", async () => {
  const worker = new Worker(new URL("./holding.thread.js", import.meta.url), { type: "module" });
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(at("held"));
  });
  let free: (() => Promise<void>) | undefined;
  const waiting = browser.lock(at("held")).then((unlock) => (free = unlock));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(free, undefined);
  worker.terminate();
  await waiting;
  const file = await browser.patch(at("held"));
  assert.is(file.size, 100, "what it had written is there");
  await file.close();
  await free!();
});

test("how much can still be kept is told, and whether it stays", async () => {
  assert.ok((await browser.free_space(at("any"), 2 ** 30))! >= 2 ** 30);
  assert.equal(
    (await browser.list("opfs:")).filter((name) => name.startsWith("room")),
    [],
    "nothing is left of trying",
  );
  // Chrome tells of 10 GiB beyond what is kept, whatever the disk has.
  assert.ok((await browser.free_space(at("any")))! > 2 ** 20);
  assert.is(await browser.persisted!(), false);
});

test.run();
