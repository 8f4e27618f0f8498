// Long files that are written over hours, by way of node:fs: PATH.partial, and beside it PATH.partial.json, which says what
// it will be and how much of it is safe, so that a later run goes on where one was cut short.
import { promises as fs } from "node:fs";
import { basename, dirname, join } from "node:path";
import { WriteError } from "../errors.ts";
import { saveFile } from "./files.ts";
import { createFile } from "./node_sink.ts";
import type { ResumableSink } from "./platform.ts";
import { type PartialNote, parseNote, untilFailure, writtenNote } from "./sinks.ts";

/** One write call takes at most this many bytes. */
const WRITE_BYTES = 1 << 26;

const readNote = async (path: string): Promise<PartialNote | undefined> =>
  parseNote(await fs.readFile(path, "utf8").catch(() => ""));

/** `resume` of a platform. */
export async function resumeFile(path: string, identity: string): Promise<ResumableSink> {
  const place = await fs.realpath(path).catch(() => path);
  const [partial, beside] = [`${place}.partial`, `${place}.partial.json`];
  // A note that cannot be written is told by createFile, with its name.
  const failure = (cause: unknown) =>
    cause instanceof WriteError
      ? cause
      : new WriteError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });

  /** The note is replaced whole: a cut leaves the one before, and perhaps a new one that nobody reads. */
  async function writeNote(bytes: number): Promise<void> {
    await saveFile({ create: createFile }, beside, (sink) => sink.write(writtenNote({ identity, bytes })));
  }

  /** Removes new notes that cuts have left. */
  async function tidy(): Promise<void> {
    const [folder, name] = [dirname(beside), basename(beside)];
    const left = (await fs.readdir(folder)).filter((entry) => entry.startsWith(`${name}.`) && entry.endsWith(".part"));
    for (const entry of left) await fs.rm(join(folder, entry), { force: true });
  }

  let file: fs.FileHandle;
  let kept = 0;
  let replaced = false;
  try {
    const note = await readNote(beside);
    const there = await fs.stat(partial).catch(() => undefined);
    if (note?.identity === identity && there?.isFile() && there.size >= note.bytes) kept = note.bytes;
    replaced = there?.isFile() === true && note?.identity !== identity;
    // Begun anew it is another file: a run that still writes to the one before must not write to this.
    if (kept === 0) await fs.rm(partial, { force: true });
    file = await fs.open(partial, kept > 0 ? "r+" : "wx");
    await file.truncate(kept);
    await writeNote(kept);
  } catch (cause) {
    throw failure(cause);
  }
  let at = kept;
  let marked = kept;
  let open = true;

  /** Whether the name still means this file: another run may have begun it anew. */
  async function isOwn(): Promise<boolean> {
    const [own, there] = [await file.stat(), await fs.stat(partial).catch(() => undefined)];
    return own.ino === there?.ino && own.dev === there.dev;
  }

  async function checkOwn(): Promise<void> {
    if (!(await isOwn())) throw new Error(`${partial} was removed, or begun anew by another run`);
  }

  async function stop(): Promise<void> {
    if (!open) return;
    open = false;
    // Nothing to go on with.
    const gone = marked === 0 && (await isOwn().catch(() => false)) ? [partial, beside] : [];
    await file.close().catch(() => {});
    await Promise.all(gone.map((name) => fs.rm(name, { force: true }).catch(() => {})));
  }

  const attempt = untilFailure(failure, () => !open, stop);

  return {
    kept,
    replaced,
    write: (bytes) =>
      attempt(async () => {
        for (let done = 0; done < bytes.length; ) {
          const part = bytes.subarray(done, done + WRITE_BYTES);
          const { bytesWritten } = await file.write(part, 0, part.length, at);
          done += bytesWritten;
          at += bytesWritten;
        }
      }),
    mark: () =>
      attempt(async () => {
        await file.datasync();
        await checkOwn();
        await writeNote(at);
        marked = at;
      }),
    close: () =>
      attempt(async () => {
        await file.sync();
        await checkOwn();
        await file.close();
        await fs.rename(partial, place);
        await fs.rm(beside, { force: true });
        await tidy().catch(() => {});
        open = false;
      }),
    abort: stop,
  };
}
