// What a cache of downloads needs of a disk, in a page's own files. Files are written by handles that one worker alone has,
// and locks are the browser's: both end with the worker that holds them. There are no links.
import { WriteError } from "../errors.ts";
import {
  copyBytes,
  folderOf,
  isMissing,
  lookUp,
  moveEntry,
  namesOf,
  type OriginFile,
  openSyncAccess,
  placeOf,
  reasonOf,
  setSize,
  writeAll,
} from "./browser_opfs.ts";
import type { PatchFile, Store, StoreEntry } from "./platform.ts";

/** Runs an operation on a path. @throws WriteError */
async function attempt<T>(path: string, what: string, operation: () => T | Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    throw new WriteError(`${path}: cannot be ${what}: ${reasonOf(cause)}`, { cause });
  }
}

async function openPatch(path: string): Promise<PatchFile> {
  const access = await attempt(path, "written", async () => {
    const { folder, name } = await placeOf(path);
    return openSyncAccess((await folder.getFileHandle(name, { create: true })) as OriginFile);
  });
  return {
    size: access.getSize(),
    write: (offset, bytes) => attempt(path, "written", () => writeAll(access, bytes, offset)),
    read: (offset, into) => attempt(path, "read", () => access.read(into, { at: offset })),
    truncate: (size) => attempt(path, "written", () => setSize(access, size)),
    sync: () => attempt(path, "written", () => access.flush()),
    close: async () => access.close(),
  };
}

async function entriesOf(path: string): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  try {
    for await (const entry of (await folderOf(namesOf(path))).values()) {
      const { name, kind } = entry;
      // Folders have no dates. What was removed meanwhile is none any more.
      const file = kind === "file" ? await (entry as OriginFile).getFile().catch(() => undefined) : undefined;
      if (kind === "directory") entries.push({ name, kind: "folder", size: 0, modified: 0 });
      else if (file) entries.push({ name, kind, size: file.size, modified: file.lastModified });
    }
  } catch (cause) {
    if (!isMissing(cause)) throw new WriteError(`${path}: cannot be listed: ${reasonOf(cause)}`, { cause });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What a path leads to. @throws DOMException when that is nothing */
async function found(path: string): Promise<OriginFile | FileSystemDirectoryHandle> {
  const entry = await lookUp(path);
  if (!entry) throw new DOMException("there is no such file or folder", "NotFoundError");
  return entry;
}

async function remove(path: string): Promise<void> {
  try {
    const { folder, name } = await placeOf(path);
    await folder.removeEntry(name, { recursive: true });
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
  }
}

/** Holds a name by the browser's locks, which all tabs of an origin share, until what is returned is called. */
async function lock(path: string, signal?: AbortSignal): Promise<() => Promise<void>> {
  signal?.throwIfAborted();
  const locks = navigator.locks as LockManager | undefined;
  if (!locks)
    throw new WriteError(
      `${path}: cannot be locked: the page needs https: (or localhost) for that; cache: false does without`,
    );
  return new Promise((resolve, reject) => {
    let ended: Promise<unknown>;
    const hold = () =>
      new Promise<void>((release) =>
        resolve(async () => {
          release();
          await ended;
        }),
      );
    ended = locks.request(`tramontane ${path}`, signal ? { signal } : {}, hold).catch(reject);
  });
}

/** A store in the page's own files. */
export const originStore: Store = {
  make_folder: (path) => attempt(path, "made", async () => void (await folderOf(namesOf(path), true))),
  patch: openPatch,
  symlink: async () => false,
  rename: (from, to) =>
    attempt(to, "written", async () => {
      const [entry, place] = [await found(from), await placeOf(to)];
      await moveEntry(entry, place.folder, place.name);
      await remove(from); // what was copied, or the folder that is empty now
    }),
  copy: (from, to) =>
    attempt(to, "written", async () => {
      const [entry, { folder, name }] = [await found(from), await placeOf(to)];
      await copyBytes(entry as OriginFile, (await folder.getFileHandle(name, { create: true })) as OriginFile);
    }),
  remove: (path) => attempt(path, "removed", () => remove(path)),
  entries: entriesOf,
  lock,
  persisted: async () => (await navigator.storage?.persisted?.().catch(() => false)) ?? false,
};
