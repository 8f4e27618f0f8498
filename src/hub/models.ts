// The models in the cache: what there is, how much it takes, and away with it.
import { givenOptions, textArgument } from "../arguments.ts";
import { allParts, ggufCheckpoints } from "../checkpoint/gguf_split.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { readIndex } from "../checkpoint/shards.ts";
import { nearest } from "../config/nearest.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { currentPlatform } from "../platform/index.ts";
import type { Platform } from "../platform/platform.ts";
import { filesBelow } from "./cache.ts";
import { cacheFolder, readSmall } from "./settings.ts";
import { partialBytes } from "./transfer.ts";

/** A model in the cache. */
export interface CachedModel {
  /** Its id on the hub, or its URL. */
  readonly name: string;
  /** The folder of its newest snapshot, or its own where there is none. */
  readonly path: string;
  /** Bytes on the disk, of all snapshots and of what has been downloaded in part. */
  readonly bytes: number;
  /** Whether its weights are all there, and no download of it has been cut short. */
  readonly complete: boolean;
}

/** Which cache is meant. */
export interface CacheOptions {
  /** Another cache. @default the environment's */
  cache_dir?: string | undefined;
}

type CacheUsage = Awaited<ReturnType<typeof models.usage>>;

const folderName = /^models--[^/\\]+$/;

/** The models that have been downloaded, by this library or another of Hugging Face's, into the cache. */
export const models: {
  /** What there is, by name. */
  list(options?: CacheOptions): Promise<CachedModel[]>;
  /**
   * Removes a model with all its snapshots. One that is loaded goes on: what is mapped stays until it is disposed.
   * @throws InputError when there is none of this name
   */
  remove(name: string, options?: CacheOptions): Promise<void>;
  /**
   * Bytes that all models take; `quota` is what they could take on this disk, where that is known. `persisted`, in a browser:
   * whether they stay until the user removes them, not only while there is room.
   */
  usage(options?: CacheOptions): Promise<{ bytes: number; quota?: number; persisted?: boolean }>;
} = {
  async list(options) {
    return listed(await scan(options));
  },
  async remove(name, options) {
    const { platform, cache, models } = await scan(options);
    const found = models.find((model) => model.name === textArgument(name, "name"));
    if (!found) {
      const others =
        models.length > 0
          ? `; the nearest is ${show(
              nearest(
                name,
                models.map(({ name }) => name),
              ),
            )}`
          : "";
      throw new InputError(`name: expected a model in ${cache}, found ${show(name)}${others}`);
    }
    await platform.remove(platform.join(cache, found.folder));
    await platform.remove(platform.join(cache, ".locks", found.folder));
  },
  async usage(options) {
    return usageOf(await scan(options));
  },
};

/** Both what there is and what it takes, by one look at the cache. */
export async function survey(options?: CacheOptions): Promise<{ models: CachedModel[]; usage: CacheUsage }> {
  const found = await scan(options);
  return { models: listed(found), usage: await usageOf(found) };
}

type Scan = Awaited<ReturnType<typeof scan>>;

const listed = ({ models }: Scan): CachedModel[] => models.map(({ folder: _, ...model }) => model);

async function usageOf({ platform, cache, models }: Scan): Promise<CacheUsage> {
  const bytes = models.reduce((sum, model) => sum + model.bytes, 0);
  const free = await platform.free_space(platform.join(cache, "any"));
  const persisted = await platform.persisted?.();
  return {
    bytes,
    ...(free === undefined ? {} : { quota: bytes + free }),
    ...(persisted === undefined ? {} : { persisted }),
  };
}

async function scan(options: CacheOptions | undefined) {
  const { cache_dir } = givenOptions<CacheOptions>(options, "models", ["cache_dir"]);
  const platform = await currentPlatform();
  const cache = cacheFolder(platform, cache_dir && textArgument(cache_dir, "cache_dir"));
  const found: (CachedModel & { folder: string })[] = [];
  for (const { name: folder, kind } of await platform.entries(cache))
    if (kind === "folder" && folderName.test(folder)) found.push(await describe(platform, cache, folder));
  return { platform, cache, models: found.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

async function describe(platform: Platform, cache: string, folder: string): Promise<CachedModel & { folder: string }> {
  const at = (...parts: string[]) => platform.join(cache, folder, ...parts);
  const url = await readSmall(platform, at("url"));
  const blobs = await platform.entries(at("blobs"));
  const snapshots = (await platform.entries(at("snapshots"))).sort((a, b) => b.modified - a.modified);
  const main = (await readSmall(platform, at("refs", "main")))?.trim();
  const commit = (snapshots.find(({ name }) => name === main) ?? snapshots[0])?.name;
  const path = commit === undefined ? at() : at("snapshots", commit);
  let bytes = 0;
  for (const { name, kind, size } of blobs) {
    const [, place] = /^(.+)\.tramontane\.incomplete$/.exec(name) ?? [];
    if (place !== undefined) bytes += await partialBytes(platform, at("blobs", place));
    // A blob of the Python client's may stand in a store that caches share.
    else bytes += kind === "link" ? ((await platform.stat(at("blobs", name)))?.size ?? 0) : size;
  }
  for (const { name } of snapshots) bytes += await ownBytes(platform, at("snapshots", name));
  const cut = blobs.some(({ name }) => name.endsWith(".incomplete"));
  return {
    name: url ?? folder.replace(/^models--/, "").replace("--", "/"),
    ...{ path, bytes, folder, complete: !cut && commit !== undefined && (await isWhole(platform, path)) },
  };
}

/** Bytes of files that stand in a folder themselves, not as links. */
async function ownBytes(platform: Platform, folder: string): Promise<number> {
  let bytes = 0;
  for (const { name, kind, size } of await platform.entries(folder)) {
    if (kind === "file") bytes += size;
    else if (kind === "folder") bytes += await ownBytes(platform, platform.join(folder, name));
  }
  return bytes;
}

/** Whether a snapshot has weights, and all that belong together. */
async function isWhole(platform: Platform, folder: string): Promise<boolean> {
  const names = await filesBelow(platform, folder);
  for (const stem of ["model", "consolidated"] as const) {
    if (!names.includes(`${stem}.safetensors.index.json`)) continue;
    const index = await readIndex(await openRepository(platform, folder), stem).catch(() => undefined);
    return index?.shards.every((shard) => names.includes(shard)) ?? false;
  }
  const ggufs = names.filter((name) => name.endsWith(".gguf"));
  if (ggufs.some((name) => !allParts(name).every((part) => names.includes(part)))) return false;
  return ggufCheckpoints(ggufs).length > 0 || names.some((name) => /^[\w.-]+\.safetensors$/.test(name));
}
