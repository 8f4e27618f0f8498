// What a cache of downloads needs of a disk, by way of node:fs.
import { constants, promises as fs } from "node:fs";
import { join } from "node:path";
import { WriteError } from "../errors.ts";
import { lockFile } from "./node_lock.ts";
import type { PatchFile, Store, StoreEntry } from "./platform.ts";

/** Where links cannot be made: Windows without its developer mode, and disks of other systems. */
const linkless = ["EPERM", "EACCES", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "UNKNOWN"];

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? "";

/** Runs an operation on a path. @throws WriteError */
async function attempt<T>(path: string, what: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    throw new WriteError(`${path}: cannot be ${what}: ${(cause as Error).message}`, { cause });
  }
}

async function openPatch(path: string): Promise<PatchFile> {
  const handle = await attempt(path, "written", () => fs.open(path, constants.O_RDWR | constants.O_CREAT));
  const { size } = await handle.stat();
  let closed: Promise<void> | undefined;
  return {
    size,
    write: (offset, bytes) =>
      attempt(path, "written", async () => {
        for (let done = 0; done < bytes.length; )
          done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }),
    read: (offset, into) =>
      attempt(path, "read", async () => (await handle.read(into, 0, into.length, offset)).bytesRead),
    truncate: (size) => attempt(path, "written", () => handle.truncate(size)),
    sync: () => attempt(path, "written", () => handle.datasync()),
    close() {
      closed ??= handle.close();
      return closed;
    },
  };
}

async function entriesOf(folder: string): Promise<StoreEntry[]> {
  const found = await fs.readdir(folder, { withFileTypes: true }).catch((cause) => {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(cause))) return [];
    throw new WriteError(`${folder}: cannot be listed: ${cause.message}`, { cause });
  });
  const entries = await Promise.all(
    found.map(async (entry) => {
      const stat = await fs.lstat(join(folder, entry.name)).catch(() => undefined);
      const kind: StoreEntry["kind"] = entry.isSymbolicLink() ? "link" : entry.isDirectory() ? "folder" : "file";
      return stat && { name: entry.name, kind, size: stat.size, modified: stat.mtimeMs };
    }),
  );
  return entries.filter((entry) => entry !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export const nodeStore: Store = {
  make_folder: (path) => attempt(path, "made", async () => void (await fs.mkdir(path, { recursive: true }))),
  patch: openPatch,
  async symlink(target, path) {
    try {
      await fs.symlink(target, path);
      return true;
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") return true; // another call has made it
      if (linkless.includes(codeOf(cause))) return false;
      throw new WriteError(`${path}: cannot be made: ${(cause as Error).message}`, { cause });
    }
  },
  rename: (from, to) => attempt(to, "written", () => fs.rename(from, to)),
  copy: (from, to) => attempt(to, "written", () => fs.copyFile(from, to)),
  remove: (path) => attempt(path, "removed", () => fs.rm(path, { recursive: true, force: true })),
  entries: entriesOf,
  lock: lockFile,
};
