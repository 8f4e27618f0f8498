// The page's own files, in its Origin Private File System, by paths: `opfs:/models/a.gguf`. They are read as Blobs, which
// the threads can be sent, and written through access handles, which only workers have.
import { CheckpointError, WriteError } from "../errors.ts";
import { blobFile } from "./browser_picked.ts";
import type { Files } from "./platform.ts";

const SCHEME = "opfs:";

/** Whether a path is one of the page's own files. */
export const isKept = (path: string): boolean => path.startsWith(SCHEME);

/** A file as it is written: the types of pages have none, as only workers do. */
export interface AccessHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export const nameOf = (cause: unknown): string => (cause as { name?: string }).name ?? "";

/** What a browser says of what is not there, or is a folder where a file was asked for, and the other way round. */
const isMissing = (cause: unknown): boolean => ["NotFoundError", "TypeMismatchError"].includes(nameOf(cause));

/** The names in a path, from the root on. */
function partsOf(path: string): string[] {
  if (!isKept(path)) throw new Error("a page has no such files: expected opfs:/…");
  return path
    .slice(SCHEME.length)
    .split("/")
    .filter((part) => part !== "" && part !== ".");
}

/** A path to be written, without slashes at its end and with one behind the scheme. @throws WriteError */
export function normalize(path: string): string {
  if (isKept(path)) return `${SCHEME}/${partsOf(path).join("/")}`;
  throw new WriteError(`${path}: cannot be written: a page has no such files: expected opfs:/…`);
}

/** The root of all. @throws where the page has none: private windows of some browsers, documents without an origin */
async function root(): Promise<FileSystemDirectoryHandle> {
  // Not there where the page came by http: from another machine.
  const storage = navigator.storage as StorageManager | undefined;
  const why = "the page may keep no files; cache: false does without";
  if (!storage?.getDirectory) throw new Error(`${why}, or https: (or localhost) and a browser that has OPFS`);
  return storage.getDirectory().catch((cause: unknown) => {
    throw new Error(`${why} (${(cause as Error).message})`, { cause });
  });
}

async function walk(parts: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> {
  let folder = await root();
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
  return folder;
}

/** A folder by its path. @param create - makes it, and those that it stands in */
export const folderAt = async (path: string, create = false): Promise<FileSystemDirectoryHandle> =>
  walk(partsOf(path), create);

/** The folder that a path stands in, which must be there, and its name in it. */
export async function placeOf(path: string): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  const parts = partsOf(path);
  const name = parts.pop();
  if (name === undefined) throw new Error("it is the folder of all files");
  return { folder: await walk(parts, false), name };
}

/** What stands under a path, or undefined. */
export async function handleAt(path: string): Promise<FileSystemFileHandle | FileSystemDirectoryHandle | undefined> {
  const parts = partsOf(path);
  if (parts.length === 0) return root();
  const name = parts.pop()!;
  try {
    const folder = await walk(parts, false);
    return await folder.getFileHandle(name).catch((cause: unknown) => {
      if (nameOf(cause) !== "TypeMismatchError") throw cause;
      return folder.getDirectoryHandle(name);
    });
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

/** Why something failed, in words: of some failures browsers say next to nothing. */
export function wordsOf(cause: unknown): string {
  if (nameOf(cause) === "QuotaExceededError") return "the browser gives this page no more room";
  if (nameOf(cause) === "NoModificationAllowedError") return "another tab or worker has it open";
  return (cause as Error).message;
}

/** Runs an operation on a path. @throws WriteError */
export async function attempt<T>(path: string, what: string, operation: () => T | Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof WriteError) throw cause;
    throw new WriteError(`${path}: cannot be ${what}: ${wordsOf(cause)}`, { cause });
  }
}

/** How long a file is waited for whose worker has just ended: browsers close what it had open a little later. */
const CLOSING_MS = 2_000;
const LOOK_MS = 50;

/** Opens a file to be written. */
export async function accessHandle(file: FileSystemFileHandle): Promise<AccessHandle> {
  const { createSyncAccessHandle } = file as unknown as { createSyncAccessHandle?: () => Promise<AccessHandle> };
  if (!createSyncAccessHandle) throw new Error("this browser writes files in dedicated workers alone");
  for (const start = Date.now(); ; ) {
    try {
      return await createSyncAccessHandle.call(file);
    } catch (cause) {
      if (nameOf(cause) !== "NoModificationAllowedError" || Date.now() - start > CLOSING_MS) throw cause;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const noRoom = () => new DOMException("no room is left", "QuotaExceededError");

/** Cuts a file or makes it longer. @throws the browser's error where there is no room */
export function setSize(access: AccessHandle, size: number): void {
  access.truncate(size);
  // Chrome says nothing where the quota is too small, and leaves the file as it was.
  if (access.getSize() !== size) throw noRoom();
}

/** One write call takes at most this many bytes: those of a shared memory are copied first, which not every browser writes. */
const WRITE_BYTES = 1 << 24;

/** Writes all bytes. @throws the browser's error where there is no room */
export function writeAll(access: AccessHandle, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    const part = bytes.subarray(done, done + WRITE_BYTES);
    const written = access.write(part.buffer instanceof ArrayBuffer ? part : part.slice(), { at: at + done });
    // Nothing, or Chrome's number of an error, as an unsigned one.
    if (!(written > 0 && written <= part.length)) throw noRoom();
    done += written;
  }
}

function refusal(path: string, what: string, cause: unknown): CheckpointError {
  const why = isMissing(cause) ? "there is none" : wordsOf(cause);
  return new CheckpointError(`${path}: cannot be ${what}: ${why}`, { cause });
}

/** `free_space` of a platform. */
async function roomFor(_: string, needed = 0): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  if (quota === undefined) return undefined;
  const told = Math.max(0, quota - (usage ?? 0));
  // Chrome tells of 10 GiB, whatever there is.
  return needed === 0 || told < needed ? told : Math.min(told, await tryRoom(needed));
}

/** How exactly room is found out that is too little, in bytes. */
const EXACTLY = 1e5;

/** Makes a file of a size, which costs no writing. @returns `needed`, or the most that there is room for where that is less */
async function tryRoom(needed: number): Promise<number> {
  const folder = await root().catch(() => undefined);
  if (!folder) return needed; // what is to be written will say why
  const name = `room.${crypto.randomUUID()}.part`;
  const access = await accessHandle(await folder.getFileHandle(name, { create: true }));
  const fits = (size: number) => {
    try {
      setSize(access, size);
      return true;
    } catch {
      return false;
    }
  };
  try {
    if (fits(needed)) return needed;
    let [least, most] = [0, needed];
    while (most - least > EXACTLY) {
      const middle = Math.floor((least + most) / 2);
      if (fits(middle)) least = middle;
      else most = middle;
    }
    return least;
  } finally {
    access.close();
    await folder.removeEntry(name).catch(() => {});
  }
}

/** Files of a Platform, but what is written. */
export const opfsFiles: Pick<Files, "stat" | "list" | "open" | "free_space"> = {
  async stat(path) {
    try {
      const found = await handleAt(path);
      if (!found) return null;
      if (found.kind === "directory") return { kind: "folder", size: 0 };
      return { kind: "file", size: (await (found as FileSystemFileHandle).getFile()).size };
    } catch (cause) {
      throw refusal(path, "looked at", cause);
    }
  },
  async list(path) {
    try {
      const names: string[] = [];
      for await (const name of (await folderAt(path)).keys()) names.push(name);
      return names.sort();
    } catch (cause) {
      throw refusal(path, "listed", cause);
    }
  },
  async open(path) {
    const found = await handleAt(path).catch((cause: unknown) => {
      throw refusal(path, "opened", cause);
    });
    if (!found) throw new CheckpointError(`${path}: cannot be opened: there is none`);
    if (found.kind === "directory") throw new CheckpointError(`${path}: expected a file, found a folder`);
    return blobFile(path, await (found as FileSystemFileHandle).getFile());
  },
  free_space: roomFor,
};
