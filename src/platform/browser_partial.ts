// Long files of a page's own that are written over hours: PATH.partial, and beside it PATH.partial.json, which says what it
// will be and how much of it is safe, as in other places.
import { WriteError } from "../errors.ts";
import { moveEntry, removeEntry } from "./browser_move.ts";
import {
  type AccessHandle,
  accessHandle,
  attempt,
  handleAt,
  normalize,
  opfsFiles,
  placeOf,
  wordsOf,
  writeAll,
} from "./browser_opfs.ts";
import { opfsSinks } from "./browser_sink.ts";
import { readAndClose, saveFile } from "./files.ts";
import type { ResumableSink } from "./platform.ts";

interface Note {
  readonly identity: string;
  readonly bytes: number;
}

/** A note is a line. */
const NOTE_BYTES = 1 << 16;

async function readNote(path: string): Promise<Note | undefined> {
  try {
    const text = new TextDecoder().decode(await readAndClose(await opfsFiles.open(path), NOTE_BYTES));
    const note = JSON.parse(text) as Note;
    return typeof note.identity === "string" && Number.isSafeInteger(note.bytes) && note.bytes >= 0 ? note : undefined;
  } catch {
    return undefined;
  }
}

/** `resume` of a platform. Nobody else can open the file while it is written. */
export async function resumeFile(path: string, identity: string): Promise<ResumableSink> {
  const place = normalize(path);
  const [partial, beside] = [`${place}.partial`, `${place}.partial.json`];
  const failure = (cause: unknown) =>
    cause instanceof WriteError ? cause : new WriteError(`${path}: cannot be written: ${wordsOf(cause)}`, { cause });

  const writeNote = (bytes: number): Promise<void> =>
    saveFile(opfsSinks, beside, (sink) =>
      sink.write(new TextEncoder().encode(JSON.stringify({ identity, bytes } satisfies Note))),
    );

  let access: AccessHandle | undefined;
  let kept = 0;
  const { replaced } = await attempt(path, "written", async () => {
    if ((await handleAt(path))?.kind === "directory") throw new Error("it is a folder");
    const note = await readNote(beside);
    const { folder, name } = await placeOf(partial);
    access = await accessHandle(await folder.getFileHandle(name, { create: true }));
    try {
      const size = access.getSize();
      if (note?.identity === identity && size >= note.bytes) kept = note.bytes;
      access.truncate(kept);
      await writeNote(kept);
      return { replaced: size > 0 && note?.identity !== identity };
    } catch (cause) {
      access.close();
      throw cause;
    }
  });
  const file = access!;
  let at = kept;
  let marked = kept;
  let open = true;

  async function stop(): Promise<void> {
    if (!open) return;
    open = false;
    file.close();
    // Nothing to go on with.
    if (marked === 0) for (const name of [partial, beside]) await removeEntry(name).catch(() => {});
  }

  async function guarded(operation: () => void | Promise<void>): Promise<void> {
    if (!open) throw failure(new Error("it was given up"));
    try {
      await operation();
    } catch (cause) {
      await stop();
      throw failure(cause);
    }
  }

  return {
    kept,
    replaced,
    write: (bytes) =>
      guarded(() => {
        writeAll(file, bytes, at);
        at += bytes.length;
      }),
    mark: () =>
      guarded(async () => {
        file.flush();
        await writeNote(at);
        marked = at;
      }),
    close: () =>
      guarded(async () => {
        file.flush();
        file.close();
        await moveEntry(partial, place);
        await removeEntry(beside);
        open = false;
      }),
    abort: stop,
  };
}
