// download(): a model's files in the cache, without loading them.

import { checkSignal } from "../abort.ts";
import { functionArgument, givenOptions } from "../arguments.ts";
import { show } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { currentPlatform } from "../platform/index.ts";
import { choose, someNames } from "./choose.ts";
import { asURL, type ModelSource, remoteAt } from "./find.ts";
import { type Chooser, fetchSnapshot, type SnapshotOptions, snapshotOptions } from "./snapshot.ts";
import { parseId } from "./source.ts";

/** The options of `download`. */
export interface DownloadOptions extends SnapshotOptions {
  /**
   * Names of files, or patterns: `*` is any text, `?` one character.
   * @default what `from_pretrained` reads: never both safetensors and pickles
   */
  files?: string | readonly string[] | undefined;
}

const known = [...snapshotOptions, "files"];

/**
 * Downloads a model into the cache; what is there already stays, and what was begun is gone on with.
 * @param source - `owner/name`, `owner/name:FILE.gguf`, `owner/name:Q4_K_M`, or a URL
 * @returns the path of its folder, or that of the file where one was named
 * @throws HubError when it cannot be had; CheckpointError when it holds nothing to be read; WriteError; InputError; the
 *   signal's reason when aborted
 */
export async function download(source: ModelSource, options: DownloadOptions = {}): Promise<string> {
  const given = givenOptions<DownloadOptions>(options, "download", known);
  functionArgument(given.progress_callback, "progress_callback");
  checkSignal(given.signal);
  if (given.cache === false) throw new InputError("download: cache: expected true: it is to keep what it fetches");
  const patterns = given.files === undefined ? undefined : readPatterns(given.files);
  const platform = await currentPlatform();
  const url = asURL(source);
  const remote = url ? remoteAt(platform, url, given) : parseId(typeof source === "string" ? source : "");
  if (!remote)
    throw new InputError(`download: expected owner/name of a model on a hub, or an https: URL, found ${show(source)}`);
  const chooser: Chooser = (name, listing, file) => {
    if (patterns === undefined) return choose(name, listing, "model", file);
    const files = [...listing.keys()].filter((path) => patterns.some((pattern) => pattern.test(path)));
    if (files.length === 0)
      throw new CheckpointError(
        `${name}: expected files of ${show([given.files].flat().join(", "))}, found ${someNames(listing)}`,
      );
    return { files };
  };
  const { folder, file } = await fetchSnapshot(platform, remote, chooser, given);
  const named = remote.file ?? ("id" in remote ? given.file : undefined);
  return file === undefined || named === undefined || patterns ? folder : platform.join(folder, file);
}

function readPatterns(files: string | readonly string[]): RegExp[] {
  const all = [files].flat();
  if (all.length === 0 || !all.every((file) => typeof file === "string" && file !== ""))
    throw new InputError(`files: expected names or patterns, found ${show(files)}`);
  return all.map(
    (file) =>
      new RegExp(
        `^${file
          .replace(/[^\w*?]/g, "\\$&")
          .replace(/\*+/g, "[^]*")
          .replaceAll("?", "[^]")}$`,
        "u",
      ),
  );
}
