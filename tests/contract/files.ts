// What every implementation of Files must do: tell what is there, read ranges exactly, write files whole or not at all.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, WriteError } from "../../src/errors.ts";
import { readAndClose, saveFile, saveFolder } from "../../src/platform/files.ts";
import type { Files } from "../../src/platform/platform.ts";
import { content, type Disk, failure, pattern, sharedMemory } from "./disk.ts";

export async function filesContract(files: Files, disk: Disk): Promise<void> {
  const { folder } = disk;
  const path = await disk.make("file", content);
  await disk.makeFolder("inner");
  const none = files.join(folder, "none");

  test("stat, list, join", async () => {
    assert.equal(await files.stat(path), { kind: "file", size: content.length });
    assert.is((await files.stat(folder))?.kind, "folder");
    assert.is(await files.stat(none), null);
    assert.equal(await files.list(folder), ["file", "inner"]);
    assert.is(files.join(folder, "file"), path);
    await failure(() => files.list(none), CheckpointError, /none: cannot be listed/);
  });

  test("ranges are read exactly, into shared memory too", async () => {
    const file = await files.open(path);
    assert.is(file.size, content.length);
    const memory = sharedMemory(4);
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
    const file = await files.open(path);
    await failure(
      () => file.read(content.length - 3, new Uint8Array(8)),
      CheckpointError,
      new RegExp(`expected 8 bytes at offset ${content.length - 3}, found the end.* after 3`),
    );
    await file.close();
  });

  test("what is no file cannot be opened", async () => {
    await failure(() => files.open(none), CheckpointError, /none: cannot be opened/);
    await failure(() => files.open(folder), CheckpointError, /found a folder|cannot be opened/);
  });

  test("a whole file is read within a limit", async () => {
    assert.equal(await readAndClose(await files.open(path), content.length), content);
    await failure(
      async () => readAndClose(await files.open(path), content.length - 1),
      CheckpointError,
      `file: expected at most ${content.length - 1} bytes, found ${content.length}`,
    );
  });

  /** Only what is whole may be seen, and nothing beside it that was begun. */
  const stands = async (names: string[], bytes: Uint8Array) => {
    assert.equal(await files.list(files.join(folder, "inner")), names);
    if (names.length) assert.equal(await disk.bytes(files.join(folder, "inner", names[0])), bytes);
  };
  const place = files.join(folder, "inner", "written");

  test("a file is written piece by piece, from shared memory too, and stands when it is closed", async () => {
    const memory = sharedMemory(1);
    new Uint8Array(memory.buffer).set(content.subarray(9, 9 + 65536));
    const sink = await files.create(place);
    await sink.write(content.subarray(0, 9));
    await sink.write(new Uint8Array(memory.buffer));
    await sink.write(content.subarray(9 + 65536));
    assert.is(await files.stat(place), null, "not before it is whole");
    await sink.close();
    await sink.close();
    await stands(["written"], content);
    await sink.abort();
    await stands(["written"], content);
    await failure(() => sink.write(content), WriteError, /written: cannot be written/);
    await stands(["written"], content);
  });

  test("what was there stays until the new file is whole, and for good when that is given up", async () => {
    const sink = await files.create(place);
    await sink.write(pattern(5));
    assert.equal(await disk.bytes(place), content);
    await sink.abort();
    await sink.abort();
    await stands(["written"], content);
    await failure(() => sink.write(content), WriteError, /given up/);
    await failure(() => sink.close(), WriteError, /given up/);
    await stands(["written"], content);

    const fails = saveFile(files, place, async (file) => {
      await file.write(pattern(5));
      throw new CheckpointError("what was to be written is damaged");
    });
    await failure(() => fails, CheckpointError, "damaged");
    await stands(["written"], content);

    assert.is(await saveFile(files, place, (file) => file.write(pattern(5)).then(() => 7)), 7);
    await stands(["written"], pattern(5));
    await saveFile(files, place, async () => {});
    await stands(["written"], new Uint8Array(0));
  });

  test("what cannot be a file cannot be written", async () => {
    await failure(() => files.create(folder), WriteError, /cannot be written/);
    await failure(() => files.create(files.join(none, "file")), WriteError, /file: cannot be written/);
    assert.equal(await files.list(folder), ["file", "inner"]);
  });

  test("a folder is made whole or not at all, where nothing is", async () => {
    const names = () => files.list(folder);
    const place = files.join(folder, "made");
    const fails = saveFolder(files, place, async (path) => {
      await saveFile(files, files.join(path, "part"), (file) => file.write(pattern(5)));
      assert.is(await files.stat(place), null, "not before it is whole");
      throw new CheckpointError("what was to be written is damaged");
    });
    await failure(() => fails, CheckpointError, "damaged");
    assert.equal(await names(), ["file", "inner"]);

    const write = (path: string) => saveFile(files, files.join(path, "part"), (file) => file.write(pattern(5)));
    const sink = await files.createFolder(`${place}/`);
    await write(sink.path);
    await sink.close();
    await sink.close();
    await sink.abort();
    assert.equal(await files.list(place), ["part"]);
    assert.equal(await disk.bytes(files.join(place, "part")), pattern(5));
    assert.equal(await names(), ["file", "inner", "made"]);

    for (const [taken, found] of [
      [place, "a folder with part in it"],
      [path, "a file"],
    ])
      await failure(() => files.createFolder(taken), WriteError, new RegExp(`expected nothing, .*found ${found}`));
    await failure(() => files.createFolder(files.join(none, "made")), WriteError, /made: cannot be made/);

    // An empty one makes room; in an unfinished one's place it stays.
    await disk.makeFolder("empty");
    const empty = files.join(folder, "empty");
    await (await files.createFolder(empty)).abort();
    assert.equal(await files.list(empty), []);
    await saveFolder(files, empty, write);
    assert.equal(await files.list(empty), ["part"]);

    // Something has come there meanwhile.
    const late = files.join(folder, "late");
    const beaten = await files.createFolder(late);
    await write(beaten.path);
    await saveFile(files, late, async () => {});
    await failure(() => beaten.close(), WriteError, /late: expected nothing/);
    await beaten.abort();
    assert.equal(await names(), ["empty", "file", "inner", "late", "made"]);
    for (const name of ["empty", "late", "made"]) await disk.remove(name);
  });
}
