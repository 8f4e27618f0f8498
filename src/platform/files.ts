// Files by way of node:fs, which Node, Deno and Bun all have.
import { constants, promises as fs } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../errors.ts";
import { readWasm } from "./installed.ts";
import type { Platform, SourceFile } from "./platform.ts";

/** One read call takes at most this many bytes: every runtime manages it, and progress and cancelling stay lively. */
const READ_BYTES = 1 << 26;

/** Opens a file; `real_descriptor` tells whether the runtime's descriptors are the system's (Deno's are not). */
export async function openFile(path: string, real_descriptor: boolean): Promise<SourceFile> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(path, constants.O_RDONLY);
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be opened: ${(cause as Error).message}`, { cause });
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new CheckpointError(`${path}: expected a file, found ${stat.isDirectory() ? "a folder" : "something else"}`);
  }
  let closed: Promise<void> | undefined;
  return {
    path,
    size: stat.size,
    mappable: true,
    ...(real_descriptor ? { descriptor: handle.fd } : {}),
    async read(offset, target) {
      let done = 0;
      while (done < target.length) {
        const part = target.subarray(done, Math.min(target.length, done + READ_BYTES));
        const { bytesRead } = await handle.read(part, 0, part.length, offset + done);
        if (bytesRead === 0) {
          throw new CheckpointError(
            `${path}: expected ${target.length} bytes at offset ${offset}, found the end of the file after ${done}`,
          );
        }
        done += bytesRead;
      }
    },
    close() {
      closed ??= handle.close();
      return closed;
    },
  };
}

/** The file methods of a Platform. */
export const fileMethods = (real_descriptor: boolean) =>
  ({
    async stat(path) {
      try {
        const stat = await fs.stat(path);
        return { kind: stat.isDirectory() ? "folder" : "file", size: stat.size };
      } catch {
        return null;
      }
    },
    async list(folder) {
      return (await fs.readdir(folder)).sort();
    },
    join,
    open: (path) => openFile(path, real_descriptor),
    async read_file(path, limit) {
      const file = await openFile(path, real_descriptor);
      try {
        if (file.size > limit)
          throw new CheckpointError(`${path}: expected at most ${limit} bytes, found ${file.size}`);
        const bytes = new Uint8Array(file.size);
        await file.read(0, bytes);
        return bytes;
      } finally {
        await file.close();
      }
    },
    async write_file(path, data) {
      await fs.writeFile(path, data);
    },
    wasm: readWasm,
  }) satisfies Partial<Platform>;
