// The contract of platforms, against the browser's: what every platform must do, over files that were picked. Those that a page
// keeps have a suite of their own.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, InputError } from "../../src/errors.ts";
import { configure } from "../../src/platform/assets.ts";
import { browser } from "../../src/platform/browser.ts";
import { addPicked, dropPicked } from "../../src/platform/browser_picked.ts";
import { browserVersion } from "../../src/platform/browser_surroundings.ts";
import { content, type Disk, failure, pattern, sharedMemory } from "../contract/disk.ts";
import { mappingContract } from "../contract/mapping.ts";
import { assetsContract, runtimeContract } from "../contract/platform.ts";
import { hashesContract } from "../contract/store.ts";
import { threadsContract } from "../contract/threads.ts";
import "./engine_here.ts";

const script = (name: string) => new URL(`./${name}.js`, import.meta.url);
const root = await navigator.storage.getDirectory();

/** Writes a file of the page's own, which then is picked: unlike one in memory it can change afterwards. */
async function write(name: string, bytes: Uint8Array): Promise<string> {
  const handle = await root.getFileHandle(name, { create: true });
  const writable = await handle.createWritable();
  await writable.write(Uint8Array.from(bytes));
  await writable.close();
  return addPicked([[name, await handle.getFile()]]) + name;
}

const refuse = async (): Promise<never> => {
  throw new Error("what was picked is in no folder of the page's");
};
const firefox = browser.version.startsWith("Firefox");
const disk: Disk = {
  tells_changes: !firefox,
  folder: "",
  make: write,
  replace: async (name, bytes) => void (await write(name, bytes)),
  makeFolder: refuse,
  remove: refuse,
  bytes: refuse,
};

runtimeContract(browser, "browser");
await mappingContract(browser, false, disk);
hashesContract(browser);
threadsContract(browser, disk, {
  team: script("engine"),
  answering: script("answering.thread"),
  dying: script("dying.thread"),
  waiting: script("waiting.thread"),
});
assetsContract(browser);

test("picked files are in a folder, by their names", async () => {
  const folder = addPicked([
    ["b", new Blob([content.slice()])],
    ["a", new Blob([])],
  ]);
  assert.match(folder, /^picked:\/\d+\/$/);
  assert.equal(await browser.list(folder), ["a", "b"]);
  assert.equal(await browser.stat(folder), { kind: "folder", size: 0 });
  assert.equal(await browser.stat(folder.slice(0, -1)), { kind: "folder", size: 0 });
  const path = browser.join(folder, "b");
  assert.is(path, `${folder}b`);
  assert.equal(await browser.stat(path), { kind: "file", size: content.length });
  assert.is(await browser.stat(browser.join(folder, "c")), null);
  assert.is(await browser.stat("picked:/0/b"), null);
  await failure(() => browser.open(browser.join(folder, "c")), CheckpointError, /\/c: cannot be opened/);
  await failure(() => browser.open(folder), CheckpointError, /found a folder/);
  await failure(() => browser.list(path), CheckpointError, /cannot be listed/);

  const file = await browser.open(path);
  dropPicked(folder);
  assert.is(await browser.stat(path), null);
  const memory = sharedMemory(4);
  for (const [offset, length] of [
    [0, 1],
    [65535, 65538],
    [content.length - 7, 7],
    [content.length, 0],
  ]) {
    const own = new Uint8Array(length);
    await file.read(offset, own);
    assert.equal(own, content.slice(offset, offset + length), "what is open stays");
    const shared = new Uint8Array(memory.buffer, 100, length);
    await file.read(offset, shared);
    assert.equal(Uint8Array.from(shared), own);
  }
  const end = new RegExp(`expected 8 bytes at offset ${content.length - 3}, found the end.* after 3`);
  await failure(() => file.read(content.length - 3, new Uint8Array(8)), CheckpointError, end);
  await file.close();
});

// Firefox tells of it where the file was replaced and its place is empty, and reads what is there now where it is not.
if (!firefox)
  test("a picked file that is written to is found changed", async () => {
    const file = await browser.open(await write("changing", pattern(100)));
    assert.is(await file.state!(), "same");
    await write("changing", pattern(200));
    assert.is(await file.state!(), "changed");
    await failure(() => file.read(0, new Uint8Array(8)), CheckpointError, /was changed or replaced/);
  });

test("a page has no files of the system's, no environment and no file: URLs", async () => {
  assert.is(await browser.stat("/etc/passwd"), null);
  await failure(() => browser.open("/etc/passwd"), CheckpointError, /cannot be opened: a page has no such file/);
  await failure(() => browser.list("/etc"), CheckpointError, /cannot be listed/);
  await failure(() => browser.path_of(new URL("file:///etc/passwd")), InputError, /let the user pick the files/);
  assert.is(browser.environment("PATH"), undefined);
});

test("binaries are given as bytes, or told where they are; what is none is refused", async () => {
  const bytes = await browser.wasm("logits.wasm");
  assert.is(await browser.wasm("logits.wasm"), bytes, "fetched once");
  const own = Uint8Array.from(bytes);
  configure({ wasm: { "logits.wasm": own } });
  assert.is(await browser.wasm("logits.wasm"), own);
  assert.throws(() => configure({ wasm: { "other.wasm": own } }), /expected some of .*logits\.wasm.*"other\.wasm"/);
  assert.throws(() => configure({ wasm: { "logits.wasm": pattern(9) } }), /logits\.wasm: expected the file's bytes/);
});

test("browsers are known by what they call themselves", () => {
  const agents = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36":
      "Chrome 156.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36":
      "Chrome 156.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0":
      "Edge 156.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0": "Firefox 153.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/27.2 Safari/605.1.15":
      "Safari 27.2",
  };
  for (const [agent, version] of Object.entries(agents)) assert.is(browserVersion(agent), version);
  console.log(
    `# ${browser.version}, ${navigator.hardwareConcurrency} cores, deviceMemory ${(navigator as any).deviceMemory}`,
  );
});

test.run();
