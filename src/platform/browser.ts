// Browsers: files that the user picked and those that the page keeps, threads by Workers. The engine runs in a worker of its
// own: nothing here is for the page's main thread.
import { CheckpointError, WriteError } from "../errors.ts";
import { browserAssets } from "./browser_assets.ts";
import { originFiles } from "./browser_files.ts";
import { collectSoon, deviceMemory } from "./browser_memory.ts";
import { isOrigin, tidied } from "./browser_opfs.ts";
import { isPicked, openBlob, pickedFiles } from "./browser_picked.ts";
import { originStore } from "./browser_store.ts";
import { browserSurroundings, browserVersion, writeConsole } from "./browser_surroundings.ts";
import { alone, nextTurn, spawnWorker, workerPort } from "./browser_threads.ts";
import type { Files, Platform, Store } from "./platform.ts";

const noNative = { reason: "a page calls no native code" };

/** Joins as the system's paths are joined: one slash between two parts, none of them empty. */
function join(...parts: string[]): string {
  const path = parts
    .filter((part) => part !== "")
    .map((part, i) => (i ? part.replace(/^\/+/, "") : part))
    .map((part, i, all) => (i < all.length - 1 ? part.replace(/\/+$/, "") : part))
    .join("/");
  return isOrigin(path) ? tidied(path) : path;
}

/** What no page has a file by: a path of the system's. */
const noFiles: Omit<Files, "join"> & Store = {
  stat: async () => null,
  async list(path) {
    throw new CheckpointError(`${path}: cannot be listed: a page has no such folder`);
  },
  async open(path) {
    throw new CheckpointError(`${path}: cannot be opened: a page has no such file`);
  },
  create: refuse,
  resume: refuse,
  createFolder: refuse,
  free_space: async () => undefined,
  make_folder: refuse,
  patch: refuse,
  symlink: async () => false,
  rename: (_, to) => refuse(to),
  copy: (_, to) => refuse(to),
  remove: refuse,
  entries: async () => [],
  lock: refuse,
};

async function refuse(path: string): Promise<never> {
  throw new WriteError(`${path}: cannot be written: a page keeps files by paths that begin with opfs:/`);
}

const originDisk = { ...originFiles, ...originStore };

const diskOf = (path: string): Omit<Files, "join"> & Store =>
  isPicked(path) ? { ...noFiles, ...pickedFiles } : isOrigin(path) ? originDisk : noFiles;

const unmappable = { reason: "a browser maps no files into memory" };

export const browser: Platform = {
  name: "browser",
  version: browserVersion(navigator.userAgent),
  cores: () => (alone === undefined ? navigator.hardwareConcurrency : 1),
  alone,
  available_memory: deviceMemory,
  stat: (path) => diskOf(path).stat(path),
  list: (path) => diskOf(path).list(path),
  open: (path) => diskOf(path).open(path),
  create: (path) => diskOf(path).create(path),
  resume: (path, identity) => diskOf(path).resume(path, identity),
  createFolder: (path) => diskOf(path).createFolder(path),
  free_space: (path, needed) => diskOf(path).free_space(path, needed),
  make_folder: (path) => diskOf(path).make_folder(path),
  patch: (path) => diskOf(path).patch(path),
  symlink: async () => false,
  rename: (from, to) => diskOf(to).rename(from, to),
  copy: (from, to) => diskOf(to).copy(from, to),
  remove: (path) => diskOf(path).remove(path),
  entries: (folder) => diskOf(folder).entries(folder),
  lock: (path, signal) => diskOf(path).lock(path, signal),
  persisted: originStore.persisted,
  join,
  openSync: openBlob,
  ...browserSurroundings,
  mapper: async () => unmappable,
  open_library: async () => noNative,
  native_library: () => noNative,
  collect: (memories) => void collectSoon(memories),
  ...browserAssets,
  spawn: spawnWorker,
  host_port: workerPort,
  next_turn: nextTurn,
  write_stdout: writeConsole,
};
