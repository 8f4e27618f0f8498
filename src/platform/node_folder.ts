// Folders that are made whole or not at all, by way of node:fs: under another name first.
import { promises as fs } from "node:fs";
import { resolve } from "node:path";
import { showName } from "../config/show.ts";
import { WriteError } from "../errors.ts";
import type { FolderSink } from "./platform.ts";

/** `createFolder` of a platform. */
export async function createFolder(path: string): Promise<FolderSink> {
  const failure = (cause: unknown) => new WriteError(`${path}: cannot be made: ${(cause as Error).message}`, { cause });
  const place = resolve(path); // without a slash at its end
  await refuseExisting(path, place);
  const target = `${place}.${crypto.randomUUID()}.part`;
  await fs.mkdir(target).catch((cause) => {
    throw failure(cause);
  });
  let ended: Promise<void> | undefined;
  const giveUp = () => fs.rm(target, { recursive: true, force: true }).catch(() => {});
  return {
    path: target,
    close() {
      ended ??= (async () => {
        try {
          await refuseExisting(path, place);
          // An empty folder makes room; Windows would not replace it.
          await fs.rmdir(place).catch(() => {});
          await fs.rename(target, place);
        } catch (cause) {
          await giveUp();
          throw cause instanceof WriteError ? cause : failure(cause);
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

async function refuseExisting(path: string, place: string): Promise<void> {
  // A link that leads nowhere is something, too.
  const there = await fs.lstat(place).catch(() => undefined);
  if (!there) return;
  const [first] = there.isDirectory() ? await fs.readdir(place).catch(() => ["what cannot be listed"]) : [];
  if (there.isDirectory() && first === undefined) return;
  const found = there.isDirectory() ? `a folder with ${showName(first)} in it` : "a file";
  throw new WriteError(`${path}: expected nothing, where a folder is to be made, found ${found}`);
}
