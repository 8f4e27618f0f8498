// Browsers: files that the user picked and those that the page keeps, threads by Workers. The engine runs in a worker of its
// own: nothing here is for the page's main thread.
import { CheckpointError } from "../errors.ts";
import { browserAssets } from "./browser_assets.ts";
import { collectSoon, deviceMemory } from "./browser_memory.ts";
import { isKept, opfsFiles } from "./browser_opfs.ts";
import { isPicked, openBlob, pickedFiles } from "./browser_picked.ts";
import { browserStore } from "./browser_store.ts";
import { browserSurroundings, browserVersion, writeConsole } from "./browser_surroundings.ts";
import { alone, nextTurn, spawnWorker, workerPort } from "./browser_threads.ts";
import type { Files, Platform } from "./platform.ts";

/** Joins as the system's paths are joined: one slash between two names, `..` is the folder above. */
function join(...parts: string[]): string {
  const names: string[] = [];
  for (const name of parts
    .filter((part) => part !== "")
    .join("/")
    .split("/"))
    if (name === "..") names.pop();
    else if (name !== "." && (name !== "" || names.length === 0)) names.push(name);
  return names.join("/");
}

/** What no page has a file by: a path of the system's. */
const noFiles: Pick<Files, "stat" | "list" | "open"> = {
  stat: async () => null,
  async list(path) {
    throw new CheckpointError(`${path}: cannot be listed: a page has no such folder`);
  },
  async open(path) {
    throw new CheckpointError(`${path}: cannot be opened: a page has no such file`);
  },
};

const filesOf = (path: string) => (isPicked(path) ? pickedFiles : isKept(path) ? opfsFiles : noFiles);

const unmappable = { reason: "a browser maps no files into memory" };

export const browser: Platform = {
  name: "browser",
  version: browserVersion(navigator.userAgent),
  cores: () => (alone === undefined ? navigator.hardwareConcurrency : 1),
  alone,
  available_memory: deviceMemory,
  ...browserStore,
  stat: (path) => filesOf(path).stat(path),
  list: (path) => filesOf(path).list(path),
  open: (path) => filesOf(path).open(path),
  join,
  openSync: openBlob,
  ...browserSurroundings,
  mapper: async () => unmappable,
  collect: (memories) => void collectSoon(memories),
  ...browserAssets,
  spawn: spawnWorker,
  host_port: workerPort,
  next_turn: nextTurn,
  write_stdout: writeConsole,
};
