// What is moved, copied and removed of a page's own files. Not every browser moves folders, some move nothing: then what is in
// them is moved, or copied and removed.
import { accessHandle, handleAt, nameOf, placeOf, setSize, writeAll } from "./browser_opfs.ts";

type Handle = FileSystemFileHandle | FileSystemDirectoryHandle;
type Movable = { move?(folder: FileSystemDirectoryHandle, name: string): Promise<void> };

/** How much of a file is copied at a time. */
const COPY_BYTES = 1 << 22;

async function copyFile(from: FileSystemFileHandle, folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  const blob = await from.getFile();
  const access = await accessHandle(await folder.getFileHandle(name, { create: true }));
  try {
    setSize(access, 0);
    for (let at = 0; at < blob.size; at += COPY_BYTES)
      writeAll(access, new Uint8Array(await blob.slice(at, at + COPY_BYTES).arrayBuffer()), at);
    access.flush();
  } finally {
    access.close();
  }
}

async function moveFile(from: FileSystemFileHandle, folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  const movable = from as FileSystemFileHandle & Movable;
  if (!movable.move) {
    await copyFile(from, folder, name);
    return false;
  }
  try {
    await movable.move(folder, name);
  } catch {
    // Some do not replace what is there.
    await folder.removeEntry(name).catch(() => {});
    await movable.move(folder, name);
  }
  return true;
}

async function moveFolder(
  from: FileSystemDirectoryHandle,
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<void> {
  const into = await folder.getDirectoryHandle(name, { create: true });
  const entries: [string, Handle][] = [];
  for await (const entry of from.entries()) entries.push(entry as [string, Handle]);
  for (const [each, handle] of entries)
    if (handle.kind === "file") await moveFile(handle as FileSystemFileHandle, into, each);
    else await moveFolder(handle as FileSystemDirectoryHandle, into, each);
}

/** Renames what is there; a file takes the place of another. */
export async function moveEntry(from: string, to: string): Promise<void> {
  const [handle, { folder, name }] = [await handleAt(from), await placeOf(to)];
  if (!handle) throw new Error(`${from}: there is none`);
  if (handle.kind === "file") {
    if (await moveFile(handle as FileSystemFileHandle, folder, name)) return;
  } else await moveFolder(handle as FileSystemDirectoryHandle, folder, name);
  await removeEntry(from);
}

/** Copies a file; it takes the place of another. */
export async function copyEntry(from: string, to: string): Promise<void> {
  const [handle, { folder, name }] = [await handleAt(from), await placeOf(to)];
  if (handle?.kind !== "file") throw new Error(`${from}: there is no such file`);
  await copyFile(handle as FileSystemFileHandle, folder, name);
}

/** Removes a file, or a folder with all that is in it, where there is one. */
export async function removeEntry(path: string): Promise<void> {
  try {
    const { folder, name } = await placeOf(path);
    await folder.removeEntry(name, { recursive: true });
  } catch (cause) {
    if (!["NotFoundError", "TypeMismatchError"].includes(nameOf(cause))) throw cause;
  }
}
