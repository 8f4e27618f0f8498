// A platform whose files are in memory, and which counts what is done to them: for hostile files, and for seeing that
// readers close what they open and read no more than they should.
import { CheckpointError } from "../src/errors.ts";
import { currentPlatform } from "../src/platform/index.ts";
import type { Platform } from "../src/platform/platform.ts";

export interface FileCounts {
  opened: number;
  closed: number;
  /** Bytes of the largest array that a reader wanted filled. */
  largest: number;
  /** Bytes read in all. */
  read: number;
}

const real = await currentPlatform();
const bytesOf = (content: Uint8Array | string) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

/** @param files - contents by path; folders are there where a path has them */
export function memoryPlatform(
  files: Readonly<Record<string, Uint8Array | string>>,
): Platform & { counts: FileCounts } {
  const contents = new Map(Object.entries(files).map(([path, content]) => [path, bytesOf(content)]));
  const counts: FileCounts = { opened: 0, closed: 0, largest: 0, read: 0 };
  const platform: Platform & { counts: FileCounts } = {
    ...real,
    counts,
    join: (...parts) => parts.join("/"),
    async stat(path) {
      const file = contents.get(path);
      if (file) return { kind: "file", size: file.length };
      const inside = [...contents.keys()].some((name) => name.startsWith(`${path}/`));
      return inside ? { kind: "folder", size: 0 } : null;
    },
    async list(folder) {
      const inside = [...contents.keys()].filter((name) => name.startsWith(`${folder}/`));
      return [...new Set(inside.map((name) => name.slice(folder.length + 1).split("/")[0]))].sort();
    },
    async open(path) {
      const bytes = contents.get(path);
      if (!bytes) throw new CheckpointError(`${path}: cannot be opened`);
      counts.opened++;
      let open = true;
      return {
        path,
        size: bytes.length,
        mappable: false,
        async read(offset, target) {
          if (offset + target.length > bytes.length) throw new CheckpointError(`${path}: read beyond the end`);
          counts.largest = Math.max(counts.largest, target.length);
          counts.read += target.length;
          target.set(bytes.subarray(offset, offset + target.length));
        },
        async close() {
          if (open) counts.closed++;
          open = false;
        },
      };
    },
    async read_file(path, limit) {
      const bytes = contents.get(path);
      if (!bytes || bytes.length > limit) throw new CheckpointError(`${path}: missing, or larger than ${limit} bytes`);
      return bytes.slice();
    },
  };
  return platform;
}
