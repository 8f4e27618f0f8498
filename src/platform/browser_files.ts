// A page's own files and folders: read as Blobs, which any number may do at once, and threads, too; folders made whole or not
// at all.
import { showName } from "../config/show.ts";
import { CheckpointError, WriteError } from "../errors.ts";
import {
  folderOf,
  isMissing,
  lookUp,
  moveEntry,
  namesOf,
  type OriginFile,
  openSyncAccess,
  placeOf,
  reasonOf,
  setSize,
  tidied,
} from "./browser_opfs.ts";
import { resumeFile } from "./browser_partial.ts";
import { blobFile } from "./browser_picked.ts";
import { createFile } from "./browser_sink.ts";
import type { Files, FolderSink, SourceFile } from "./platform.ts";

const refusal = (path: string, what: string, cause: unknown) =>
  new CheckpointError(`${path}: cannot be ${what}: ${reasonOf(cause)}`, { cause });

const failure = (path: string, what: string, cause: unknown) =>
  cause instanceof WriteError ? cause : new WriteError(`${path}: cannot be ${what}: ${reasonOf(cause)}`, { cause });

async function stat(path: string): Promise<{ kind: "file" | "folder"; size: number } | null> {
  try {
    const found = await lookUp(path);
    if (!found) return null;
    if (found.kind === "directory") return { kind: "folder", size: 0 };
    return { kind: "file", size: (await (found as OriginFile).getFile()).size };
  } catch (cause) {
    if (isMissing(cause)) return null; // it was removed meanwhile
    throw refusal(path, "looked at", cause);
  }
}

async function list(path: string): Promise<string[]> {
  try {
    const names: string[] = [];
    for await (const name of (await folderOf(namesOf(path))).keys()) names.push(name);
    return names.sort();
  } catch (cause) {
    throw refusal(path, "listed", cause);
  }
}

async function open(path: string): Promise<SourceFile> {
  let blob: File;
  try {
    const found = await lookUp(path);
    if (found?.kind === "directory") throw new CheckpointError(`${path}: expected a file, found a folder`);
    if (!found) throw new Error("there is no such file or folder");
    blob = await (found as OriginFile).getFile();
  } catch (cause) {
    throw cause instanceof CheckpointError ? cause : refusal(path, "opened", cause);
  }
  return {
    ...blobFile(path, blob),
    async state() {
      const now = await lookUp(path).catch(() => null);
      if (now?.kind !== "file") return "replaced";
      const file = await (now as OriginFile).getFile().catch(() => undefined);
      return file?.size === blob.size && file.lastModified === blob.lastModified ? "same" : "changed";
    },
  };
}

async function refuseExisting(path: string): Promise<void> {
  const there = await lookUp(path);
  if (!there) return;
  const first = there.kind === "file" ? undefined : (await (there as FileSystemDirectoryHandle).keys().next()).value;
  if (there.kind === "directory" && first === undefined) return;
  const found = there.kind === "directory" ? `a folder with ${showName(first!)} in it` : "a file";
  throw new WriteError(`${path}: expected nothing, where a folder is to be made, found ${found}`);
}

async function createFolder(path: string): Promise<FolderSink> {
  let place: Awaited<ReturnType<typeof placeOf>>;
  let part: string;
  try {
    await refuseExisting(path);
    place = await placeOf(path);
    part = `${place.name}.${crypto.randomUUID()}.part`;
    await place.folder.getDirectoryHandle(part, { create: true });
  } catch (cause) {
    throw failure(path, "made", cause);
  }
  let ended: Promise<void> | undefined;
  const giveUp = () => place.folder.removeEntry(part, { recursive: true }).catch(() => {});
  return {
    path: tidied(`${path}/../${part}`),
    close() {
      ended ??= (async () => {
        try {
          await refuseExisting(path);
          await moveEntry(await place.folder.getDirectoryHandle(part), place.folder, place.name);
          await giveUp(); // what is empty now
        } catch (cause) {
          await giveUp();
          throw failure(path, "made", cause);
        }
      })();
      return ended;
    },
    abort() {
      ended ??= giveUp();
      return ended.catch(() => {}); // who closed it was told
    },
  };
}

async function free_space(_: string, needed = 0): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  if (quota === undefined) return undefined;
  const told = Math.max(0, quota - (usage ?? 0));
  // Chrome tells of 10 GiB, whatever there is.
  return needed === 0 || told < needed ? told : ((await lessThan(needed)) ?? told);
}

/** How exactly room is found out that is too little, in bytes. */
const EXACTLY = 1e5;

/** Makes a file of a size, which costs no writing. @returns the most that there is room for, where that is less */
async function lessThan(needed: number): Promise<number | undefined> {
  const name = `room.${crypto.randomUUID()}.part`;
  const folder = await folderOf([]).catch(() => undefined);
  if (!folder) return undefined; // what is to be written will say why
  const access = await openSyncAccess((await folder.getFileHandle(name, { create: true })) as OriginFile);
  try {
    const fits = (size: number) => {
      try {
        setSize(access, size);
        return true;
      } catch {
        return false;
      }
    };
    if (fits(needed)) return undefined;
    let [least, most] = [0, needed];
    while (most - least > EXACTLY) {
      const middle = Math.floor((least + most) / 2);
      if (fits(middle)) least = middle;
      else most = middle;
    }
    return least;
  } finally {
    access.close();
    await folder.removeEntry(name).catch(() => {});
  }
}

/** A page's own files, by their paths. */
export const originFiles: Omit<Files, "join"> = {
  ...{ stat, list, open, create: createFile, createFolder, resume: resumeFile },
  free_space,
};
