// Files by way of node:fs, which Node, Deno and Bun all have.
import { constants, promises as fs, type Stats } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../errors.ts";
import { readWasm } from "./installed.ts";
import type { Platform, SourceFile } from "./platform.ts";

/** One read call takes at most this many bytes: every runtime manages it, and progress and cancelling stay lively. */
const READ_BYTES = 1 << 26;

/** A pipe that nobody writes to is then opened, and refused, at once, instead of waited for. Windows knows no such flag. */
const READ_NOW = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Opens a file; `real_descriptor` tells whether the runtime's descriptors are the system's (Deno's are not). */
export async function openFile(path: string, real_descriptor: boolean): Promise<SourceFile> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(path, READ_NOW);
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be opened: ${(cause as Error).message}`, { cause });
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new CheckpointError(
      `${path}: expected a file, found ${stat.isDirectory() ? "a folder" : stat.isFIFO() ? "a pipe" : "a device or socket"}`,
    );
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
    async state() {
      let now: Stats;
      try {
        now = await fs.stat(path);
      } catch {
        return "replaced";
      }
      if (now.ino !== stat.ino || now.dev !== stat.dev) return "replaced";
      return now.size === stat.size && now.mtimeMs === stat.mtimeMs ? "same" : "changed";
    },
    close() {
      closed ??= handle.close();
      return closed;
    },
  };
}

/**
 * Writes beside the file first, so that what was there stays until all is written: a full disk costs no older file.
 * Pipes and devices are written to as they are.
 */
async function writeFile(path: string, data: Uint8Array): Promise<void> {
  const there = await fs.stat(path).catch(() => undefined);
  const target = there && !there.isFile() ? path : `${path}.${crypto.randomUUID()}.part`;
  try {
    await fs.writeFile(target, data);
    if (target !== path) await fs.rename(target, path);
  } catch (cause) {
    if (target !== path) await fs.rm(target, { force: true }).catch(() => {});
    throw new CheckpointError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** The file methods of a Platform. */
export const fileMethods = (real_descriptor: boolean) =>
  ({
    async stat(path) {
      try {
        const stat = await fs.stat(path);
        return { kind: stat.isDirectory() ? "folder" : "file", size: stat.size };
      } catch (cause) {
        if (["ENOENT", "ENOTDIR"].includes((cause as { code?: string }).code ?? "")) return null;
        throw new CheckpointError(`${path}: cannot be looked at: ${(cause as Error).message}`, { cause });
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
    write_file: writeFile,
    wasm: readWasm,
  }) satisfies Partial<Platform>;
