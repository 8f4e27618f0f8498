// A disk in memory, for what is fetched and not to be kept: `memory:/…` stands beside a platform's own paths, and goes when
// nothing holds what was opened. A page's files are Blobs there, which browsers may put aside; elsewhere they are bytes that threads
// share.
import { CheckpointError, WriteError } from "../errors.ts";
import { namesIn } from "../platform/files.ts";
import type { ByteSink, PatchFile, Platform, StoreEntry } from "../platform/platform.ts";
import { type Content, newContent } from "./memory_content.ts";
import { MEMORY_CACHE } from "./settings.ts";

const ROOT = MEMORY_CACHE;

/** A platform that has a cache in memory beside its own files: its folder is `memory:/`. */
export function memoryPlatform(platform: Platform): Platform {
  const files = new Map<string, Content>();
  const locked = new Map<string, Promise<void>>();
  const in_page = platform.page_origin !== undefined;
  const is_own = (path: string) => path.startsWith(ROOT);
  const join: Platform["join"] = (first, ...others) => {
    if (!is_own(first)) return platform.join(first, ...others);
    return ROOT + namesIn([first.slice(ROOT.length), ...others].join("/")).join("/");
  };
  const below = (folder: string) => [...files.keys()].filter((path) => path.startsWith(`${join(folder)}/`));
  const entries = async (folder: string): Promise<StoreEntry[]> => {
    const start = join(folder).length + 1;
    const names = new Set(below(folder).map((path) => path.slice(start).split("/")[0]));
    return [...names].sort().map((name) => {
      const file = files.get(join(folder, name));
      return { name, kind: file ? "file" : "folder", size: file?.size ?? 0, modified: 0 };
    });
  };
  const found = (path: string): Content => {
    const content = files.get(join(path));
    if (!content) throw new WriteError(`${path}: cannot be read: it is not in memory`);
    return content;
  };
  const patch = async (path: string): Promise<PatchFile> => {
    const content = files.get(join(path)) ?? newContent(in_page);
    files.set(join(path), content);
    return {
      size: content.size,
      write: (offset, bytes) => content.write(offset, bytes),
      read: (offset, into) => content.read(offset, into),
      truncate: async (size) => content.truncate(size),
      sync: async () => {},
      close: async () => {},
    };
  };
  const create = async (path: string): Promise<ByteSink> => {
    const content = newContent(in_page);
    return {
      write: (bytes) => content.write(content.size, bytes),
      close: async () => void files.set(join(path), content),
      abort: async () => {},
    };
  };
  return {
    ...platform,
    join,
    async stat(path) {
      if (!is_own(path)) return platform.stat(path);
      const content = files.get(join(path));
      if (content) return { kind: "file", size: content.size };
      return below(path).length > 0 ? { kind: "folder", size: 0 } : null;
    },
    async list(path) {
      return is_own(path) ? (await entries(path)).map(({ name }) => name) : platform.list(path);
    },
    async open(path) {
      if (!is_own(path)) return platform.open(path);
      const content = files.get(join(path));
      if (!content) throw new CheckpointError(`${path}: cannot be opened: there is none`);
      return content.open(path);
    },
    create: (path) => (is_own(path) ? create(path) : platform.create(path)),
    free_space: async (path, needed) => (is_own(path) ? undefined : platform.free_space(path, needed)),
    make_folder: async () => {},
    patch,
    symlink: async () => false,
    async rename(from, to) {
      files.set(join(to), found(from));
      files.delete(join(from));
    },
    copy: async (from, to) => void files.set(join(to), found(from)),
    async remove(path) {
      for (const name of [join(path), ...below(path)]) files.delete(name);
    },
    entries: (folder) => (is_own(folder) ? entries(folder) : platform.entries(folder)),
    async lock(path) {
      while (locked.has(path)) await locked.get(path);
      let free = () => {};
      locked.set(path, new Promise((resolve) => (free = resolve)));
      return async () => {
        locked.delete(path);
        free();
      };
    },
  };
}
