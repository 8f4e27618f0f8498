// Long files that are written over hours, among a page's own: PATH.partial, and beside it PATH.partial.json, which says what
// it will be and how much of it is safe, as in node_partial.ts. One worker alone has a partial file open.
import { WriteError } from "../errors.ts";
import {
  lookUp,
  moveEntry,
  type OriginFile,
  openSyncAccess,
  placeOf,
  reasonOf,
  type SyncAccess,
  setSize,
  writeAll,
} from "./browser_opfs.ts";
import { createFile } from "./browser_sink.ts";
import { saveFile } from "./files.ts";
import type { ResumableSink } from "./platform.ts";
import { type PartialNote, parseNote, untilFailure, writtenNote } from "./sinks.ts";

/** Longer than any note. */
const MOST_NOTE_BYTES = 2 ** 16;

async function readNote(path: string): Promise<PartialNote | undefined> {
  try {
    const file = await ((await lookUp(path)) as OriginFile).getFile();
    return parseNote(await file.slice(0, MOST_NOTE_BYTES).text());
  } catch {
    return undefined;
  }
}

/** `resume` of a platform, in the page's own files. */
export async function resumeFile(path: string, identity: string): Promise<ResumableSink> {
  const failure = (cause: unknown) =>
    cause instanceof WriteError ? cause : new WriteError(`${path}: cannot be written: ${reasonOf(cause)}`, { cause });
  const writeNote = (bytes: number) =>
    saveFile({ create: createFile }, `${path}.partial.json`, (sink) => sink.write(writtenNote({ identity, bytes })));
  let place: Awaited<ReturnType<typeof placeOf>>;
  let file: OriginFile;
  let access: SyncAccess | undefined;
  let [kept, replaced] = [0, false];
  try {
    if ((await lookUp(path))?.kind === "directory") throw new Error("expected a file, found a folder");
    place = await placeOf(path);
    const note = await readNote(`${path}.partial.json`);
    const there = await lookUp(`${path}.partial`);
    file = (await place.folder.getFileHandle(`${place.name}.partial`, { create: true })) as OriginFile;
    access = await openSyncAccess(file);
    if (note?.identity === identity && access.getSize() >= note.bytes) kept = note.bytes;
    replaced = there !== null && note?.identity !== identity;
    setSize(access, kept);
    await writeNote(kept);
  } catch (cause) {
    access?.close();
    throw failure(cause);
  }
  let [at, marked, open] = [kept, kept, true];
  const removeAll = async (names: readonly string[]) => {
    for (const name of names) await place.folder.removeEntry(`${place.name}${name}`).catch(() => {});
  };

  async function stop(): Promise<void> {
    if (!open) return;
    open = false;
    access!.close();
    if (marked === 0) await removeAll([".partial", ".partial.json"]);
  }

  const attempt = untilFailure(failure, () => !open, stop);

  return {
    kept,
    replaced,
    write: (bytes) =>
      attempt(() => {
        writeAll(access!, bytes, at);
        at += bytes.length;
      }),
    mark: () =>
      attempt(async () => {
        access!.flush();
        await writeNote(at);
        marked = at;
      }),
    close: () =>
      attempt(async () => {
        access!.flush();
        access!.close();
        await moveEntry(file, place.folder, place.name);
        open = false;
        await removeAll([".partial", ".partial.json"]);
      }),
    abort: stop,
  };
}
