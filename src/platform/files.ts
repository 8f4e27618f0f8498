// What files have in common wherever they are: the end that comes too early, names in a path, files in memory, whole files within a limit,
// files written whole or not at all.
import { CheckpointError } from "../errors.ts";
import type { ByteWriter, Files, SourceFile, SyncFile } from "./platform.ts";

/** The failure of a read that the file cannot fill. @param done - bytes that there were */
export const endOfFile = (path: string, offset: number, length: number, done: number): CheckpointError =>
  new CheckpointError(
    `${path}: expected ${length} bytes at offset ${offset}, found the end of the file after ${Math.max(0, done)}`,
  );

/** The names that a path of no system's consists of, without `.` and `..`. */
export function namesIn(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names;
}

/** Bytes in memory as a thread reads them. */
export function memoryFileSync(path: string, bytes: Uint8Array): SyncFile {
  return {
    read(offset, into, least = into.length) {
      if (offset + least > bytes.length) throw endOfFile(path, offset, least, bytes.length - offset);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    close() {},
  };
}

/** Bytes in memory as an open file. They stay the caller's, who leaves them as they are. */
export function memoryFile(path: string, bytes: Uint8Array): SourceFile {
  const file = memoryFileSync(path, bytes);
  return {
    path,
    size: bytes.length,
    handle: { path, bytes },
    mappable: false,
    async read(offset, target) {
      file.read(offset, target);
    },
    async close() {},
  };
}

/** All bytes of an open file, which is closed. @throws {@link CheckpointError} when there are more than `limit` */
export async function readAndClose(file: SourceFile, limit: number): Promise<Uint8Array> {
  try {
    if (file.size > limit)
      throw new CheckpointError(`${file.path}: expected at most ${limit} bytes, found ${file.size}`);
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * Writes a file from its first byte to its last; when `write` throws, what stood under the name stays.
 * @returns what `write` does
 * @throws WriteError when the file cannot be written (no permission, no room); what `write` throws
 */
export async function saveFile<T>(
  files: Pick<Files, "create">,
  path: string,
  write: (file: ByteWriter) => Promise<T>,
): Promise<T> {
  const sink = await files.create(path);
  try {
    const result = await write(sink);
    await sink.close();
    return result;
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

/**
 * Makes a folder with all its files; when `write` throws, there is none.
 * @param write - writes the files into the folder whose path it is given
 * @returns what `write` does
 * @throws WriteError when something stands under the name, or it cannot be written; what `write` throws
 */
export async function saveFolder<T>(
  files: Pick<Files, "createFolder">,
  path: string,
  write: (folder: string) => Promise<T>,
): Promise<T> {
  const sink = await files.createFolder(path);
  try {
    const result = await write(sink.path);
    await sink.close();
    return result;
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
