// The Origin Private File System, where a page's own files are: `opfs:/models/name.gguf` and what stands behind such a path.
// What else a browser's files need is beside this: reading and writing whole files (browser_files.ts), a store for downloads
// (browser_store.ts).
import { namesIn } from "./files.ts";

/** What every path of the page's own files begins with; below it they are taken apart by slashes. */
const SCHEME = "opfs:";

/** What only workers have, and what the types of pages lack. */
export interface OriginFile extends FileSystemFileHandle {
  createSyncAccessHandle?(): Promise<SyncAccess>;
  move?(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
}

/** An open file that one alone writes to. */
export interface SyncAccess {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export const isOrigin = (path: string): boolean => path === SCHEME || path.startsWith(`${SCHEME}/`);

/** The names that a path consists of, without `.` and `..`. */
export const namesOf = (path: string): string[] => namesIn(path.slice(SCHEME.length));

/** A path without `.`, `..` and a slash at its end. */
export const tidied = (path: string): string => `${SCHEME}/${namesOf(path).join("/")}`;

/** Whether an operation failed for this reason. */
export const isNamed = (cause: unknown, ...names: string[]): boolean =>
  names.includes((cause as { name?: string } | undefined)?.name ?? "");

export const isMissing = (cause: unknown): boolean => isNamed(cause, "NotFoundError", "TypeMismatchError");

/** What failed, in words. Browsers say of some only what they are called. */
export function reasonOf(cause: unknown): string {
  if (isNamed(cause, "QuotaExceededError"))
    return "this browser lets the page keep no more (QuotaExceededError): models.remove makes room";
  if (isNamed(cause, "NoModificationAllowedError")) return "another tab or worker is writing to it, or has it open";
  if (isNamed(cause, "NotFoundError")) return "there is no such file or folder";
  if (isNamed(cause, "TypeMismatchError"))
    return "a file stands where a folder is expected, or a folder in a file's place";
  return (cause as Error).message;
}

/** The root of what the page keeps. @throws Error in a page that may keep nothing */
async function root(): Promise<FileSystemDirectoryHandle> {
  // Not there where the page came by http: from another machine.
  const storage = navigator.storage as StorageManager | undefined;
  if (!storage?.getDirectory)
    throw new Error(
      "the page may keep no files: it needs https: (or localhost), and a browser with OPFS; cache: false does without",
    );
  try {
    return await storage.getDirectory();
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`the page may keep no files, as in some private windows (${why}); cache: false does without`, {
      cause,
    });
  }
}

/** The folder that some names lead to. @throws DOMException; Error where the page may keep nothing */
export async function folderOf(names: readonly string[], create = false): Promise<FileSystemDirectoryHandle> {
  let folder = await root();
  for (const name of names) folder = await folder.getDirectoryHandle(name, { create });
  return folder;
}

/** The folder that a path stands in, and its name there. @throws as {@link folderOf}; where it is the root itself */
export async function placeOf(path: string): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  const names = namesOf(path);
  const name = names.pop();
  if (name === undefined) throw new Error("it is the folder of all files");
  return { folder: await folderOf(names), name };
}

/** What a path leads to; null when nothing is there. @throws where the page may keep nothing */
export async function lookUp(path: string): Promise<OriginFile | FileSystemDirectoryHandle | null> {
  const names = namesOf(path);
  const name = names.pop();
  try {
    const folder = await folderOf(names);
    if (name === undefined) return folder;
    try {
      return (await folder.getFileHandle(name)) as OriginFile;
    } catch (cause) {
      if (!isNamed(cause, "TypeMismatchError")) throw cause;
      return await folder.getDirectoryHandle(name);
    }
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw cause;
  }
}

/** How long a file may still be another worker's that has ended, and how often it is tried. */
const LEAVING_MS = 2000;
const TRY_MS = 25;

/** Opens a file to be written. @throws DOMException when another has it; Error where no worker runs this */
export async function openSyncAccess(file: OriginFile): Promise<SyncAccess> {
  if (!file.createSyncAccessHandle) throw new Error("only a dedicated worker may write a page's files");
  for (const since = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, TRY_MS))) {
    try {
      return await file.createSyncAccessHandle();
    } catch (cause) {
      if (!isNamed(cause, "NoModificationAllowedError") || performance.now() - since > LEAVING_MS) throw cause;
    }
  }
}

const noRoom = () => new DOMException("no room is left", "QuotaExceededError");

/** Cuts a file or makes it longer. */
export function setSize(access: SyncAccess, size: number): void {
  access.truncate(size);
  // Chrome says nothing where the quota is too small, and leaves the file as it was.
  if (access.getSize() !== size) throw noRoom();
}

/** Writes all bytes. */
export function writeAll(access: SyncAccess, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    const written = access.write(bytes.subarray(done), { at: at + done });
    // Nothing, or Chrome's number of an error, as an unsigned one.
    if (!(written > 0 && written <= bytes.length - done)) throw noRoom();
    done += written;
  }
}

/** Copies a file's bytes. What it is written to is cut to their length. */
export async function copyBytes(from: OriginFile, to: OriginFile): Promise<void> {
  const blob = await from.getFile();
  const access = await openSyncAccess(to);
  try {
    setSize(access, 0);
    for (let at = 0; at < blob.size; at += COPY_BYTES)
      writeAll(access, new Uint8Array(await blob.slice(at, at + COPY_BYTES).arrayBuffer()), at);
    access.flush();
  } finally {
    access.close();
  }
}

const COPY_BYTES = 1 << 22;

/** Gives a file or a folder another place, in which no folder stands. Folders are moved file by file: browsers know no other way. */
export async function moveEntry(
  from: OriginFile | FileSystemDirectoryHandle,
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<void> {
  if (from.kind === "file") return moveFile(from as OriginFile, folder, name);
  const made = await folder.getDirectoryHandle(name, { create: true });
  for await (const entry of (from as FileSystemDirectoryHandle).values())
    await moveEntry(entry as OriginFile, made, entry.name);
}

async function moveFile(from: OriginFile, folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  if (from.move) return from.move(folder, name);
  await copyBytes(from, (await folder.getFileHandle(name, { create: true })) as OriginFile);
}
