// What every implementation of Store and Surroundings must do: what a cache of downloads asks of a disk, locks, hashes.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, WriteError } from "../../src/errors.ts";
import type { Files, Store, Surroundings } from "../../src/platform/platform.ts";
import { content, type Disk, failure, pattern } from "./disk.ts";

export async function storeContract(store: Store & Files, disk: Disk): Promise<void> {
  const { folder } = disk;
  const path = (...names: string[]) => store.join(folder, ...names);

  test("a file is written in any order, read while it is written, cut and made longer", async () => {
    const file = await store.patch(path("patched"));
    assert.is(file.size, 0);
    await file.truncate(content.length);
    const middle = 70_000;
    await file.write(middle, content.subarray(middle));
    const into = new Uint8Array(10).fill(1);
    assert.is(await file.read(0, into), 10);
    assert.equal(into, new Uint8Array(10), "what was not written is zero");
    await file.write(0, content.subarray(0, middle));
    await file.sync();
    assert.is(await file.read(content.length - 3, into), 3, "as many bytes as there are");
    assert.is(await file.read(content.length, into), 0);
    await file.close();
    await file.close();
    assert.equal(await disk.bytes(path("patched")), content);
    const again = await store.patch(path("patched"));
    assert.is(again.size, content.length);
    await again.truncate(100);
    await again.close();
    assert.equal(await disk.bytes(path("patched")), content.slice(0, 100));
    await failure(() => store.patch(path("none", "file")), WriteError, /cannot be written/);
  });

  test("folders, links, names and copies", async () => {
    await store.make_folder(path("a", "b"));
    await store.make_folder(path("a", "b"));
    await disk.make("a/file", pattern(7));
    const links = await store.symlink("../file", path("a", "b", "link"));
    if (links) {
      assert.equal(await disk.bytes(path("a", "b", "link")), pattern(7));
      assert.is(await store.symlink("../file", path("a", "b", "link")), true, "twice");
      assert.is((await store.entries(path("a", "b")))[0].kind, "link");
    }
    await store.copy(path("a", "file"), path("a", "copy"));
    await store.rename(path("a", "file"), path("a", "other"));
    const found = await store.entries(path("a"));
    assert.equal(
      found.map(({ name, kind }) => [name, kind]),
      [
        ["b", "folder"],
        ["copy", "file"],
        ["other", "file"],
      ],
    );
    assert.is(found[1].size, 7);
    assert.ok(Math.abs(found[1].modified - Date.now()) < 3_600_000);
    assert.equal(await store.entries(path("none")), []);
    await failure(() => store.rename(path("none"), path("x")), WriteError, /x: cannot be written/);
    await store.remove(path("a"));
    await store.remove(path("a"));
    assert.is(await store.stat(path("a")), null);
  });

  test("a lock is held by one at a time, in turn", async () => {
    let holders = 0;
    let most = 0;
    const hold = async () => {
      const free = await store.lock(path("lock"));
      most = Math.max(most, ++holders);
      await new Promise((resolve) => setTimeout(resolve, 5));
      holders--;
      await free();
    };
    await Promise.all([1, 2, 3, 4].map(hold));
    assert.is(most, 1);
    assert.is(await store.stat(path("lock")), null);
  });

  test("who waits for a lock can be stopped", async () => {
    const free = await store.lock(path("held"));
    const controller = new AbortController();
    const reason = new Error("stop");
    setTimeout(() => controller.abort(reason), 20);
    assert.is(await store.lock(path("held"), controller.signal).catch((error) => error), reason);
    assert.is(await store.lock(path("held"), AbortSignal.abort(reason)).catch((error) => error), reason);
    await free();
    await (await store.lock(path("held")))();
  });
}

/** Where locks are files that say who holds them. */
export async function deadLockContract(store: Store & Files, disk: Disk): Promise<void> {
  const { folder } = disk;
  const path = (...names: string[]) => store.join(folder, ...names);

  test("the lock of a process that is no more holds nobody, and one alone takes it", async () => {
    const free = await store.lock(path("model"));
    const owner = JSON.parse(new TextDecoder().decode(await disk.bytes(path("model"))));
    await free();
    // No process has this number.
    await disk.make("dead", new TextEncoder().encode(JSON.stringify({ ...owner, pid: 2 ** 30 })));
    let holders = 0;
    await Promise.all(
      [1, 2, 3].map(async () => {
        const release = await store.lock(path("dead"));
        assert.is(++holders, 1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        holders--;
        await release();
      }),
    );
    assert.equal(
      (await store.entries(folder)).map(({ name }) => name).filter((name) => name.startsWith("dead")),
      [],
    );
  });
}

export function hashesContract(surroundings: Pick<Surroundings, "hasher">): void {
  test("hashes are those that the standards give", () => {
    const hash = (algorithm: "sha1" | "sha256", ...parts: string[]) => {
      const hasher = surroundings.hasher(algorithm);
      for (const part of parts) hasher.update(new TextEncoder().encode(part));
      return hasher.hex();
    };
    // FIPS 180-2, appendices A and B.
    assert.is(hash("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.is(hash("sha256", "a", "bc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert.is(hash("sha256"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });
}

export function surroundingsContract(surroundings: Surroundings, absolute: string): void {
  test("file: URLs are paths", async () => {
    const url = new URL("file:///");
    url.pathname = `${absolute}/a b%`.replace("%", "%25");
    assert.is(surroundings.path_of(url), `${absolute}/a b%`);
    await failure(
      () => surroundings.path_of(new URL("file:///a%2fb")),
      InputError,
      /expected the URL of a file of this machine/,
    );
  });

  test("variables and the user's folder", () => {
    assert.ok(surroundings.home_folder().length > 0);
    assert.ok(surroundings.environment("PATH") ?? surroundings.environment("Path"));
    assert.is(surroundings.environment("TRAMONTANE_NO_SUCH_VARIABLE"), undefined);
  });
}
