// Files by way of node:fs, which Node, Deno and Bun all have.
import { closeSync, constants, promises as fs, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CheckpointError } from "../errors.ts";
import { endOfFile, memoryFileSync } from "./files.ts";
import { createFolder } from "./node_folder.ts";
import { resumeFile } from "./node_partial.ts";
import { createFile } from "./node_sink.ts";
import {
  type FileHandleRef,
  type Files,
  SECTOR_BYTES,
  type SourceFile,
  type SyncFile,
  type ThreadPlatform,
} from "./platform.ts";

/** One read call takes at most this many bytes: every runtime manages it, and progress and cancelling stay lively. */
const READ_BYTES = 1 << 26;

/** A pipe that nobody writes to is then opened, and refused, at once, instead of waited for. Windows knows no such flag. */
const READ_NOW = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** What tells whether a path still names the file that was opened, with the contents of then. */
const identify = ({ dev, ino, size, mtimeMs }: Stats): string => [dev, ino, size, mtimeMs].join(" ");

const refusal = (path: string, what: string, cause: unknown) =>
  new CheckpointError(`${path}: cannot be ${what}: ${(cause as Error).message}`, { cause });

async function openFile(path: string, real_descriptor: boolean): Promise<SourceFile> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(path, READ_NOW);
  } catch (cause) {
    throw refusal(path, "opened", cause);
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
    handle: { path, identity: identify(stat) },
    mappable: true,
    ...(real_descriptor ? { descriptor: handle.fd } : {}),
    async read(offset, target) {
      for (let done = 0; done < target.length; ) {
        const part = target.subarray(done, done + READ_BYTES);
        const { bytesRead } = await handle.read(part, 0, part.length, offset + done).catch((cause: unknown) => {
          throw refusal(path, "read", cause);
        });
        if (bytesRead === 0) throw endOfFile(path, offset, target.length, done);
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
      return identify(now) === identify(stat) ? "same" : "changed";
    },
    close() {
      closed ??= handle.close();
      return closed;
    },
  };
}

/** Linux' alone; elsewhere reads go through the system's cache. */
const PAST_THE_CACHE = constants.O_DIRECT ?? 0;

function openAgain(ref: FileHandleRef, uncached = false): SyncFile {
  const { path } = ref;
  if ("bytes" in ref) return memoryFileSync(path, ref.bytes);
  if ("blob" in ref)
    throw new CheckpointError(
      `${path}: a Blob cannot be read by threads here: load without memory_budget, or pass its path`,
    );
  let flags = READ_NOW | (uncached ? PAST_THE_CACHE : 0);
  let fd = openChecked(path, ref.identity, flags);
  let open = true;
  /** Some file systems say only when they are read from that they know no way past the cache. */
  const readSome = (part: Uint8Array, at: number): number => {
    try {
      return readSync(fd, part, 0, part.length, at);
    } catch (cause) {
      if (!isRefusal(cause) || flags === READ_NOW) throw refusal(path, "read", cause);
      flags = READ_NOW;
      const cached = openChecked(path, ref.identity, flags);
      closeSync(fd);
      fd = cached;
      return readSome(part, at);
    }
  };
  return {
    read(offset, into, least = into.length) {
      // The number may be another file's by now.
      if (!open) throw new CheckpointError(`${path}: cannot be read: it was closed`);
      for (let done = 0; done < into.length; ) {
        const bytes = readSome(into.subarray(done, done + READ_BYTES), offset + done);
        done += bytes;
        if (done >= least && (bytes === 0 || done % SECTOR_BYTES !== 0)) break;
        if (bytes === 0) throw endOfFile(path, offset, least, done);
      }
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** What systems answer to flags and reads that a file system does not know. */
const isRefusal = (cause: unknown): boolean => (cause as { code?: string }).code === "EINVAL";

function openChecked(path: string, identity: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags);
  } catch (cause) {
    if (isRefusal(cause) && flags !== READ_NOW) return openChecked(path, identity, READ_NOW);
    throw refusal(path, "opened", cause);
  }
  if (identify(fstatSync(fd)) === identity) return fd;
  closeSync(fd);
  throw new CheckpointError(`${path}: the file was changed or replaced since it was opened first`);
}

/** @param real_descriptor - whether the runtime's descriptors are the system's (Deno's are not) */
export const nodeFiles = (real_descriptor: boolean): Files & ThreadPlatform => ({
  async stat(path) {
    try {
      const stat = await fs.stat(path);
      return { kind: stat.isDirectory() ? "folder" : "file", size: stat.size };
    } catch (cause) {
      if (["ENOENT", "ENOTDIR"].includes((cause as { code?: string }).code ?? "")) return null;
      throw refusal(path, "looked at", cause);
    }
  },
  async list(folder) {
    try {
      return (await fs.readdir(folder)).sort();
    } catch (cause) {
      throw refusal(folder, "listed", cause);
    }
  },
  join,
  open: (path) => openFile(path, real_descriptor),
  create: createFile,
  resume: resumeFile,
  async free_space(path) {
    try {
      const { bavail, bsize } = await fs.statfs(dirname(resolve(path)));
      return bavail * bsize;
    } catch {
      return undefined;
    }
  },
  createFolder,
  openSync: openAgain,
});
