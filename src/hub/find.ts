// What from_pretrained and the commands were given, and where it is: a path of this machine, a model on a hub, a URL. What is
// not here is downloaded into the cache first.
import { checkSignal } from "../abort.ts";
import { givenArguments } from "../arguments.ts";
import { openRepository, type Repository } from "../checkpoint/repository.ts";
import { show } from "../config/show.ts";
import { HubError } from "../errors.ts";
import type { Platform } from "../platform/platform.ts";
import { filesBelow } from "./cache.ts";
import { choose, type Purpose } from "./choose.ts";
import { memoryPlatform } from "./memory_disk.ts";
import { isPicked, openPicked, type PickedFile, type PickedFolder } from "./picked.ts";
import { type HubOptions, hubEndpoint, readHubOptions } from "./settings.ts";
import { type Chooser, fetchSnapshot, type SnapshotOptions } from "./snapshot.ts";
import { parseId, parseURL, type Remote } from "./source.ts";

/**
 * A path, `owner/name` of a hub, `owner/name:FILE.gguf`, `owner/name:Q4_K_M`, or a file:, https: or http: URL; or files that
 * the user picked, which are read in place: a `File`, several (an array, a `FileList`), or a `FileSystemDirectoryHandle`.
 */
export type ModelSource = string | URL | PickedFile | ArrayLike<PickedFile> | PickedFolder;

/**
 * Opens what a model or a tokenizer is read from, which is downloaded first where it is on a hub.
 * @param purpose - what of a hub's model is downloaded
 * @throws CheckpointError, HubError, WriteError, InputError; the signal's reason when aborted
 */
export const findRepository = async (
  platform: Platform,
  source: ModelSource,
  purpose: Purpose,
  options: SnapshotOptions | null | undefined,
): Promise<Repository> => {
  if (isPicked(source)) return openPicked(source, purpose, readFindOptions(options).file);
  const uncached = options?.cache === false ? memoryPlatform(platform) : platform;
  return openRepository(uncached, await localPath(uncached, source, purpose, options));
};

function readFindOptions(given: SnapshotOptions | null | undefined): SnapshotOptions {
  const options = givenArguments<SnapshotOptions>(given, "the options");
  readHubOptions(options);
  checkSignal(options.signal);
  return options;
}

/** The same as a path of this machine. What is on the disk wins, as in transformers. */
export async function localPath(
  platform: Platform,
  source: ModelSource,
  purpose: Purpose,
  given: SnapshotOptions | null | undefined,
): Promise<string> {
  const options = readFindOptions(given);
  const url = asURL(source);
  if (url && url.protocol !== "file:") return fetchPath(platform, remoteAt(platform, url, options), purpose, options);
  const path = url ? platform.path_of(url) : (source as string);
  const named = url || typeof path !== "string" ? undefined : parseId(path);
  if (!named || (await platform.stat(path))) return pathIn(platform, path, purpose, options.file);
  if (named.file !== undefined && (await platform.stat(named.id))?.kind === "folder")
    return pathIn(platform, named.id, purpose, named.file);
  try {
    return await fetchPath(platform, named, purpose, options);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    throw new HubError(`${error.message}. Nor is there a folder or file ${show(path)} here`, error.status, {
      cause: error,
    });
  }
}

/** The URL that was given, as one or as a text. */
export function asURL(source: unknown): URL | undefined {
  if (source instanceof URL) return source;
  const is_url = typeof source === "string" && /^(https?|file):/i.test(source) && URL.canParse(source);
  return is_url ? new URL(source) : undefined;
}

/** What a URL means, by the hub that the options or the environment name. */
export const remoteAt = (platform: Platform, url: URL, options: HubOptions): Remote =>
  parseURL(url, hubEndpoint(platform, options));

async function fetchPath(
  platform: Platform,
  remote: Remote,
  purpose: Purpose,
  options: SnapshotOptions,
): Promise<string> {
  const chooser: Chooser = (name, listing, file) => choose(name, listing, purpose, file);
  const { folder, file } = await fetchSnapshot(platform, remote, chooser, options);
  return file === undefined ? folder : platform.join(folder, file);
}

/** @param file - a file of the folder, or the type of a GGUF in it */
async function pathIn(platform: Platform, path: string, purpose: Purpose, file?: string): Promise<string> {
  if (file === undefined || typeof path !== "string" || (await platform.stat(path))?.kind !== "folder") return path;
  if ((await platform.stat(platform.join(path, file)))?.kind === "file")
    // Of a tokenizer's folder the other files are read, too.
    return purpose === "tokenizer" ? path : platform.join(path, file);
  const listing = new Map((await filesBelow(platform, path)).map((name) => [name, { size: 0, blob_id: "" }]));
  return platform.join(path, choose(path, listing, purpose, file).file ?? "");
}
