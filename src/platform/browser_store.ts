// A browser's own files, by paths in the Origin Private File System: what a cache of downloads needs of a disk. Access handles
// are for workers, and each is alone with its file.
import { WriteError } from "../errors.ts";
import { copyEntry, moveEntry, removeEntry } from "./browser_move.ts";
import {
  accessHandle,
  attempt,
  folderAt,
  handleAt,
  isKept,
  normalize,
  opfsFiles,
  placeOf,
  setSize,
  writeAll,
} from "./browser_opfs.ts";
import { resumeFile } from "./browser_partial.ts";
import { opfsSinks } from "./browser_sink.ts";
import type { Files, PatchFile, Store, StoreEntry } from "./platform.ts";

async function openPatch(path: string): Promise<PatchFile> {
  const access = await attempt(path, "written", async () => {
    const { folder, name } = await placeOf(path);
    return accessHandle(await folder.getFileHandle(name, { create: true }));
  });
  let open = true;
  return {
    size: access.getSize(),
    write: (offset, bytes) => attempt(path, "written", () => writeAll(access, bytes, offset)),
    read: (offset, into) => attempt(path, "read", () => access.read(into, { at: offset })),
    truncate: (size) => attempt(path, "written", () => setSize(access, size)),
    sync: () => attempt(path, "written", () => access.flush()),
    async close() {
      if (open) access.close();
      open = false;
    },
  };
}

async function entriesOf(path: string): Promise<StoreEntry[]> {
  const there = await attempt(path, "listed", () => handleAt(path));
  if (there?.kind !== "directory") return [];
  const entries: StoreEntry[] = [];
  for await (const [name, handle] of (there as FileSystemDirectoryHandle).entries()) {
    if (handle.kind === "directory") entries.push({ name, kind: "folder", size: 0, modified: 0 });
    else {
      // What is gone meanwhile is no entry.
      const file = await (handle as FileSystemFileHandle).getFile().catch(() => undefined);
      if (file) entries.push({ name, kind: "file", size: file.size, modified: file.lastModified });
    }
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A lock among all tabs and workers of the page's origin; the browser gives back those of a worker that ends. */
async function lockName(path: string, signal?: AbortSignal): Promise<() => Promise<void>> {
  if (!("locks" in navigator))
    throw new WriteError(
      `${path}: cannot be locked: the page needs https: (or localhost) for that; cache: false does without`,
    );
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(
        `tramontane ${isKept(path) ? normalize(path) : path}`,
        signal ? { signal } : {},
        () => new Promise<void>((free) => resolve(async () => free())),
      )
      .catch(reject);
  });
}

export const browserStore: Store & Pick<Files, "create" | "resume" | "createFolder" | "free_space"> = {
  ...opfsSinks,
  resume: resumeFile,
  free_space: opfsFiles.free_space,
  make_folder: (path) => attempt(path, "made", async () => void (await folderAt(path, true))),
  patch: openPatch,
  symlink: async () => false,
  rename: (from, to) => attempt(to, "written", () => moveEntry(from, to)),
  copy: (from, to) => attempt(to, "written", () => copyEntry(from, to)),
  remove: (path) => attempt(path, "removed", () => removeEntry(path)),
  entries: entriesOf,
  lock: lockName,
  persisted: async () => (await navigator.storage?.persisted?.().catch(() => false)) ?? false,
};
