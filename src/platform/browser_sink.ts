// A page's own files that are written: beside the place first, so that what was there stays until all is written, and a full
// disk costs no older file.
import { WriteError } from "../errors.ts";
import {
  lookUp,
  moveEntry,
  type OriginFile,
  openSyncAccess,
  placeOf,
  reasonOf,
  type SyncAccess,
  writeAll,
} from "./browser_opfs.ts";
import type { ByteSink } from "./platform.ts";
import { untilFailure } from "./sinks.ts";

const failure = (path: string, cause: unknown) =>
  new WriteError(`${path}: cannot be written: ${reasonOf(cause)}`, { cause });

/** `create` of a platform, in the page's own files. */
export async function createFile(path: string): Promise<ByteSink> {
  // After a move a handle has another name.
  let [name, at, given_up] = ["", 0, false];
  let access: SyncAccess;
  let part: OriginFile;
  let place: Awaited<ReturnType<typeof placeOf>>;
  try {
    const there = await lookUp(path);
    if (there?.kind === "directory") throw new Error("expected a file, found a folder");
    place = await placeOf(path);
    name = `${place.name}.${crypto.randomUUID()}.part`;
    part = (await place.folder.getFileHandle(name, { create: true })) as OriginFile;
  } catch (cause) {
    throw failure(path, cause);
  }
  async function giveUp(): Promise<void> {
    given_up = true;
    access?.close();
    await place.folder.removeEntry(name).catch(() => {});
  }
  const attempt = untilFailure(
    (cause) => failure(path, cause),
    () => given_up,
    giveUp,
  );
  await attempt(async () => {
    access = await openSyncAccess(part);
  });
  let closed: Promise<void> | undefined;
  return {
    write: (bytes) =>
      attempt(() => {
        if (closed) throw new Error("it was closed");
        writeAll(access, bytes, at);
        at += bytes.length;
      }),
    close() {
      closed ??= attempt(async () => {
        access.flush();
        access.close();
        await moveEntry(part, place.folder, place.name);
        await place.folder.removeEntry(name).catch(() => {}); // where it was copied
      });
      return closed;
    },
    abort: giveUp,
  };
}
