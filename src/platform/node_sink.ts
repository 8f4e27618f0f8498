// Files that are written, by way of node:fs: beside the place first, so that what was there stays until all is written, and
// a full disk costs no older file. Pipes and devices are written as they are.
import { promises as fs } from "node:fs";
import { WriteError } from "../errors.ts";
import type { ByteSink } from "./platform.ts";
import { untilFailure } from "./sinks.ts";

/** One write call takes at most this many bytes: systems write no more than 2 GiB at once. */
const WRITE_BYTES = 1 << 26;

/** `create` of a platform. */
export async function createFile(path: string): Promise<ByteSink> {
  // Where a link leads: renaming over the link would leave its file as it was.
  const place = await fs.realpath(path).catch(() => path);
  const there = await fs.stat(place).catch(() => undefined);
  const beside = !there || there.isFile();
  const target = beside ? `${place}.${crypto.randomUUID()}.part` : place;
  const failure = (cause: unknown) =>
    new WriteError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });

  let file: fs.FileHandle;
  try {
    // What takes a file's place can be read by those who could read that file.
    file = await fs.open(target, beside ? "wx" : "w", there && there.mode & 0o777);
  } catch (cause) {
    throw failure(cause);
  }
  let given_up = false;
  let closed: Promise<void> | undefined;

  async function giveUp(): Promise<void> {
    given_up = true;
    await file.close().catch(() => {});
    if (beside) await fs.rm(target, { force: true }).catch(() => {});
  }

  const attempt = untilFailure(failure, () => given_up, giveUp);

  return {
    write: (bytes) =>
      attempt(async () => {
        for (let done = 0; done < bytes.length; )
          done += (await file.write(bytes.subarray(done, done + WRITE_BYTES))).bytesWritten;
      }),
    close() {
      closed ??= attempt(async () => {
        // Some disks (over a network, or with quotas) say only here that they are full.
        if (beside) await file.sync();
        await file.close();
        if (beside) await fs.rename(target, place);
      });
      return closed;
    },
    abort: giveUp,
  };
}
