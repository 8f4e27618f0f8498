// Files that the user picked, and other Blobs, as files by made-up paths: `picked:/3/name.gguf` stands in the folder
// `picked:/3/`, with what was picked together. Nothing is copied: ranges are read from where the Blob is.
import { CheckpointError } from "../errors.ts";
import { endOfFile, memoryFileSync } from "./files.ts";
import type { FileHandleRef, SourceFile, SyncFile, ThreadPlatform } from "./platform.ts";

const SCHEME = "picked:/";

/** Blobs by their names in the folder. */
type Picked = ReadonlyMap<string, Blob>;

const folders = new Map<string, Picked>();
let count = 0;

/**
 * Gives Blobs a folder. The page may forget them: they stay readable until `dropPicked`.
 * @param files - by name, without folders in it
 * @returns the folder's path, with a slash at its end
 */
export function addPicked(files: Iterable<readonly [name: string, blob: Blob]>): string {
  const folder = `${SCHEME}${++count}/`;
  folders.set(folder, new Map(files));
  return folder;
}

/** Forgets a folder: what is open stays so. */
export const dropPicked = (folder: string): void => void folders.delete(folder);

export const isPicked = (path: string): boolean => path.startsWith(SCHEME);

/** The folder that a path begins with, and what comes behind it. */
function split(path: string): { folder: Picked | undefined; name: string } {
  const end = path.indexOf("/", SCHEME.length) + 1 || path.length;
  const folder = path.slice(0, end);
  return { folder: folders.get(folder.endsWith("/") ? folder : `${folder}/`), name: path.slice(end) };
}

/** One read: a Blob's bytes come in a buffer of their own, and are copied from there. */
const READ_BYTES = 1 << 22;

/**
 * Whether reading a Blob failed since its file was written to or is gone: so says Chromium always, and Firefox, in its words,
 * where the file is gone. A file that was written to Firefox reads as it is now.
 */
const isChanged = (cause: unknown): boolean =>
  /^(NotReadableError|NotFoundError|AbortError|NS_ERROR_FILE\w+)$/.test((cause as { name?: string }).name ?? "");

function refusal(path: string, cause: unknown): CheckpointError {
  const why = isChanged(cause)
    ? "the file was changed or replaced since it was opened first"
    : `cannot be read: ${(cause as Error).message}`;
  return new CheckpointError(`${path}: ${why}`, { cause });
}

/** A Blob as an open file. @param path - what to call it */
export function blobFile(path: string, blob: Blob): SourceFile {
  return {
    path,
    size: blob.size,
    handle: { path, blob },
    mappable: false,
    async read(offset, target) {
      for (let done = 0; done < target.length; ) {
        const end = offset + Math.min(done + READ_BYTES, target.length);
        const part = await blob
          .slice(offset + done, end)
          .arrayBuffer()
          .catch((cause: unknown) => {
            throw refusal(path, cause);
          });
        target.set(new Uint8Array(part), done);
        done += part.byteLength;
        if (part.byteLength === 0) throw endOfFile(path, offset, target.length, done);
      }
    },
    async state() {
      try {
        await blob.slice(0, 1).arrayBuffer();
        return "same";
      } catch {
        return "changed";
      }
    },
    async close() {},
  };
}

/** Workers have it; the types of pages do not. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** A Blob as a thread reads it. */
export function blobFileSync(path: string, blob: Blob): SyncFile {
  const reader = new FileReaderSync();
  return {
    read(offset, into, least = into.length) {
      if (offset + least > blob.size) throw endOfFile(path, offset, least, blob.size - offset);
      const length = Math.min(into.length, blob.size - offset);
      for (let done = 0; done < length; ) {
        const end = offset + Math.min(done + READ_BYTES, length);
        let part: ArrayBuffer;
        try {
          part = reader.readAsArrayBuffer(blob.slice(offset + done, end));
        } catch (cause) {
          throw refusal(path, cause);
        }
        if (part.byteLength === 0) throw endOfFile(path, offset, least, done);
        into.set(new Uint8Array(part), done);
        done += part.byteLength;
      }
    },
    close() {},
  };
}

/** `openSync` of a Platform: what there is of a browser's files in a thread are Blobs, and bytes. */
export const openBlob: ThreadPlatform["openSync"] = (ref: FileHandleRef) => {
  const { path } = ref;
  if ("bytes" in ref) return memoryFileSync(path, ref.bytes);
  if ("blob" in ref) return blobFileSync(path, ref.blob);
  throw new CheckpointError(`${path}: a browser has no files of the system's`);
};

/** What can be done with picked files, by their paths. */
export const pickedFiles = {
  async stat(path: string): Promise<{ kind: "file" | "folder"; size: number } | null> {
    const { folder, name } = split(path);
    if (name === "") return folder ? { kind: "folder", size: 0 } : null;
    const blob = folder?.get(name);
    return blob ? { kind: "file", size: blob.size } : null;
  },
  async list(path: string): Promise<string[]> {
    const { folder, name } = split(path);
    if (!folder || name !== "") throw new CheckpointError(`${path}: cannot be listed: there is no such folder`);
    return [...folder.keys()].sort();
  },
  async open(path: string): Promise<SourceFile> {
    const { folder, name } = split(path);
    const blob = folder?.get(name);
    if (blob) return blobFile(path, blob);
    const why = folder && name === "" ? "expected a file, found a folder" : "cannot be opened: there is none";
    throw new CheckpointError(`${path}: ${why}`);
  },
};
