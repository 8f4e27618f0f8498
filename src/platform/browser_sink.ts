// Files and folders of a page's own that are written: under another name first, so that what was there stays until all is.
import { showName } from "../config/show.ts";
import { WriteError } from "../errors.ts";
import { moveEntry, removeEntry } from "./browser_move.ts";
import {
  type AccessHandle,
  accessHandle,
  attempt,
  handleAt,
  normalize,
  placeOf,
  wordsOf,
  writeAll,
} from "./browser_opfs.ts";
import type { ByteSink, Files } from "./platform.ts";

/** `create` of a platform. */
async function createFile(path: string): Promise<ByteSink> {
  const target = `${normalize(path)}.${crypto.randomUUID()}.part`;
  const access: AccessHandle = await attempt(path, "written", async () => {
    if ((await handleAt(path))?.kind === "directory") throw new Error("it is a folder");
    const { folder, name } = await placeOf(target);
    return accessHandle(await folder.getFileHandle(name, { create: true }));
  });
  let at = 0;
  let given_up = false;
  let closed: Promise<void> | undefined;

  async function giveUp(): Promise<void> {
    given_up = true;
    access.close();
    await removeEntry(target).catch(() => {});
  }

  /** Runs an operation; when it fails nothing stays, and no later one succeeds. */
  async function guarded(operation: () => void | Promise<void>): Promise<void> {
    if (given_up) throw new WriteError(`${path}: cannot be written: it was given up`);
    try {
      await operation();
    } catch (cause) {
      if (!closed) await giveUp();
      throw new WriteError(`${path}: cannot be written: ${wordsOf(cause)}`, { cause });
    }
  }

  return {
    write: (bytes) =>
      guarded(() => {
        if (closed) throw new Error("it was closed");
        writeAll(access, bytes, at);
        at += bytes.length;
      }),
    close() {
      closed ??= guarded(async () => {
        try {
          access.flush();
          access.close();
          await moveEntry(target, path);
        } catch (cause) {
          await giveUp();
          throw cause;
        }
      });
      return closed;
    },
    abort: () => (closed ? closed.catch(() => {}) : giveUp()),
  };
}

async function refuseExisting(path: string): Promise<void> {
  const there = await handleAt(path);
  if (!there) return;
  let found = "a file";
  if (there.kind === "directory") {
    const first = await (there as FileSystemDirectoryHandle).keys().next();
    if (first.done) return;
    found = `a folder with ${showName(first.value)} in it`;
  }
  throw new WriteError(`${path}: expected nothing, where a folder is to be made, found ${found}`);
}

/** What writes whole files and folders, by their paths. */
export const opfsSinks: Pick<Files, "create" | "createFolder"> = {
  create: createFile,
  async createFolder(path) {
    const target = `${normalize(path)}.${crypto.randomUUID()}.part`;
    await attempt(path, "made", async () => {
      await refuseExisting(path);
      const { folder, name } = await placeOf(target);
      await folder.getDirectoryHandle(name, { create: true });
    });
    let ended: Promise<void> | undefined;
    const giveUp = () => removeEntry(target).catch(() => {});
    return {
      path: target,
      close() {
        ended ??= attempt(path, "made", async () => {
          try {
            await refuseExisting(path);
            await removeEntry(path); // an empty folder makes room
            await moveEntry(target, path);
          } catch (cause) {
            await giveUp();
            throw cause;
          }
        });
        return ended;
      },
      abort() {
        ended ??= giveUp();
        return ended.catch(() => {}); // who closed it was told
      },
    };
  },
};
