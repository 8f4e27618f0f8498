// A model's files from where they are into the cache: what is there already stays, what lacks is fetched, and without a
// server what is there has to do.
import { eachOf } from "../abort.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { readIndex } from "../checkpoint/shards.ts";
import { namesOf } from "../config/option_names.ts";
import { printable, showName } from "../config/show.ts";
import { CheckpointError, HubError, WriteError } from "../errors.ts";
import type { Platform } from "../platform/platform.ts";
import { RepositoryCache } from "./cache.ts";
import type { Choice } from "./choose.ts";
import { whyNoAnswer } from "./cors.ts";
import { NoAnswer } from "./http.ts";
import { checkPath, isPlainPath, type Listing, sizeOf } from "./listing.ts";
import { type DownloadProgress, Progress } from "./progress.ts";
import { type Located, openRemote, type RemoteFiles } from "./remote.ts";
import { type HubOptions, hubOptions, readSettings, type Settings } from "./settings.ts";
import type { Remote } from "./source.ts";
import { Changed, partialBytes, partialNames, transfer } from "./transfer.ts";

/** What a download may be told. */
export interface SnapshotOptions extends HubOptions {
  /** Told of each part that has come in. Where it returns promises, the call ends when they are settled. */
  progress_callback?: ((info: DownloadProgress) => void) | undefined;
  /** Aborts it: the call rejects with its reason. */
  signal?: AbortSignal | undefined;
}

export const snapshotOptions: readonly string[] = [
  ...namesOf<Omit<SnapshotOptions, keyof HubOptions>>({ progress_callback: true, signal: true }),
  ...hubOptions,
];

/** Chooses files of a listing. @param file - the one that was named. @throws CheckpointError when they are not in it */
export type Chooser = (name: string, listing: Listing, file: string | undefined) => Choice;

export interface Snapshot {
  readonly folder: string;
  /** The file that is meant, where it is one: its path from there. */
  readonly file?: string;
  readonly warning?: string;
}

/** Files up to this size come side by side; larger ones one after the other, each by several connections. */
const SMALL_BYTES = 2 ** 24;
const SIDE_BY_SIDE = 8;
/** How often the first questions are asked: who is offline hears of it within seconds. */
const FIRST_TRIES = 4;
/** How often another process's download is looked at. */
const WATCH_MS = 1000;
/** How often a file is begun anew that changes while it comes. */
const MOST_CHANGES = 3;

/**
 * Has a model's files in the cache.
 * @throws HubError, CheckpointError, WriteError, InputError; the signal's reason when aborted
 */
export async function fetchSnapshot(
  platform: Platform,
  remote: Remote,
  chooser: Chooser,
  options: SnapshotOptions,
): Promise<Snapshot> {
  options.signal?.throwIfAborted();
  const fetching = new Fetching(platform, remote, await readSettings(platform, options), chooser, options);
  const snapshot = await fetching.run();
  if (snapshot.warning) platform.warn(snapshot.warning);
  return snapshot;
}

class Fetching {
  private readonly platform: Platform;
  private readonly settings: Settings;
  private readonly signal: AbortSignal | undefined;
  private readonly cache: RepositoryCache;
  /** Where the files are, asked patiently; and the same asked once. */
  private readonly files: RemoteFiles;
  private readonly once: RemoteFiles;
  private readonly wanted: string | undefined;
  private readonly chooser: Chooser;
  private readonly callback: SnapshotOptions["progress_callback"];

  constructor(platform: Platform, remote: Remote, settings: Settings, chooser: Chooser, options: SnapshotOptions) {
    const { signal, progress_callback } = options;
    this.platform = platform;
    this.settings = settings;
    this.signal = signal;
    this.chooser = chooser;
    this.callback = progress_callback;
    this.files = openRemote(platform, remote, settings, signal, FIRST_TRIES);
    this.once = openRemote(platform, remote, settings, signal, 1);
    this.cache = new RepositoryCache(platform, settings.cache, this.files.folder);
    this.wanted = this.files.file ?? ("id" in remote ? settings.file : undefined);
  }

  async run(): Promise<Snapshot> {
    const { revision } = this.files;
    const known = await this.cache.commit(revision);
    const kept = known === undefined ? undefined : await this.kept(known);
    const { offline } = this.settings;
    if (offline !== undefined) return kept ?? this.refuseOffline(offline);
    // A commit holds the same files for ever.
    if (kept && known === revision) return kept;
    try {
      // Who has the files already is not to wait long for a server that is not there.
      const files = kept ? this.once : this.files;
      const commit = known === revision ? known : await files.commit();
      const snapshot = await this.fetch(commit, (await this.cache.tree(commit)) ?? (await this.list(files, commit)));
      await this.cache.keepCommit(revision, commit);
      return snapshot;
    } catch (error) {
      this.signal?.throwIfAborted();
      if (!(error instanceof HubError || error instanceof NoAnswer)) throw error;
      if (kept) return { ...kept, warning: `${await this.explained(error)}; what was downloaded before is used` };
      if (error instanceof HubError) throw error;
      throw new HubError(`${await this.explained(error)}; try again: what has come is kept`, undefined, {
        cause: error,
      });
    }
  }

  private async list(files: RemoteFiles, commit: string): Promise<Listing> {
    const listing = await files.list(commit);
    await this.cache.keepTree(commit, listing);
    if (files.url) await this.cache.keepURL(files.name);
    return listing;
  }

  /** What is chosen, without the shards. */
  private choose(listing: Listing): Choice {
    const choice = this.chooser(this.files.name, listing, this.wanted);
    for (const path of choice.files) this.checkListed(listing, path);
    return choice;
  }

  /** The shards that an index names, which is on the disk. */
  private async shards(commit: string, listing: Listing, { index }: Choice): Promise<readonly string[]> {
    if (index === undefined) return [];
    const { shards } = await readIndex(await openRepository(this.platform, this.cache.snapshot(commit)), index);
    for (const path of shards) this.checkListed(listing, path);
    return shards;
  }

  private checkListed(listing: Listing, path: string): void {
    checkPath(path, this.files.name);
    if (!listing.has(path)) throw new CheckpointError(`${this.files.name}: ${showName(path)} is missing there`);
  }

  /** The snapshot of a commit, where nothing of it lacks. */
  private async kept(commit: string): Promise<Snapshot | undefined> {
    const listing = (await this.cache.tree(commit)) ?? (await this.cache.present(commit));
    try {
      const choice = this.choose(listing);
      const { files, file, warning } = choice;
      if ((await this.missing(commit, listing, files)).length > 0) return undefined;
      if ((await this.missing(commit, listing, await this.shards(commit, listing, choice))).length > 0)
        return undefined;
      return { folder: this.cache.snapshot(commit), file, warning };
    } catch (error) {
      if (error instanceof CheckpointError) return undefined;
      throw error;
    }
  }

  private async missing(commit: string, listing: Listing, paths: readonly string[]): Promise<string[]> {
    const lacks: string[] = [];
    for (const path of paths) {
      const entry = listing.get(path);
      if (!(await this.cache.has(commit, path, entry && sizeOf(entry)))) lacks.push(path);
    }
    return lacks;
  }

  private async fetch(commit: string, listing: Listing): Promise<Snapshot> {
    const choice = await this.chooseThere(commit, listing);
    // First the index alone, which names the shards: what is told of progress is of all files then.
    if (choice.index !== undefined)
      await this.fetchMissing(
        commit,
        listing,
        choice.files.filter((path) => path.endsWith(".index.json")),
        undefined,
      );
    const shards = await this.shards(commit, listing, choice);
    await this.fetchMissing(commit, listing, [...choice.files, ...shards], this.callback);
    return { folder: this.cache.snapshot(commit), file: choice.file, warning: choice.warning };
  }

  private async chooseThere(commit: string, listing: Listing): Promise<Choice> {
    try {
      return this.choose(listing);
    } catch (error) {
      const named = this.wanted;
      if (named !== undefined && /\.\w+$/.test(named) && isPlainPath(named) && !listing.has(named))
        await this.cache.keepAbsence(commit, named);
      throw error;
    }
  }

  private async fetchMissing(
    commit: string,
    listing: Listing,
    paths: readonly string[],
    callback: SnapshotOptions["progress_callback"],
  ): Promise<void> {
    const lacks = await this.missing(commit, listing, paths);
    if (lacks.length === 0) return;
    await this.cache.prepare(commit, lacks);
    const located = new Map<string, Located>();
    await eachOf(lacks, SIDE_BY_SIDE, this.signal, async (path) => {
      const facts = await this.files.locate(commit, path, listing.get(path));
      located.set(path, { ...facts, size: facts.size ?? (sizeOf(listing.get(path)!) || undefined) });
    });
    const progress = new Progress(this.files.name, callback);
    let needed = 0;
    for (const path of lacks) {
      const facts = located.get(path)!;
      const kept = await this.keptOf(facts);
      needed += (facts.size ?? 0) - kept;
      progress.expect(path, kept, facts.size);
    }
    await this.checkSpace(needed);
    const fetchSome = (some: readonly string[], most: number) =>
      eachOf(some, most, this.signal, (path, _, stop) =>
        this.fetchFile(commit, path, located.get(path)!, progress, stop),
      );
    const isSmall = (path: string) => (located.get(path)!.size ?? 0) <= SMALL_BYTES;
    await fetchSome(lacks.filter(isSmall), SIDE_BY_SIDE);
    await fetchSome(
      lacks.filter((path) => !isSmall(path)),
      1,
    );
    await progress.settled();
  }

  /** Bytes of a file that are in the cache. */
  private async keptOf(facts: Located): Promise<number> {
    if (await this.cache.hasBlob(facts.etag, facts.size)) return facts.size ?? 0;
    return partialBytes(this.platform, this.cache.blob(facts.etag), facts);
  }

  /** @throws WriteError when the disk has not the room */
  private async checkSpace(needed: number): Promise<void> {
    const free = await this.platform.free_space(this.cache.blob("any"), needed);
    if (free === undefined || needed <= free) return;
    const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
    const what = `${this.files.name}: ${gb(needed)} are to be downloaded`;
    throw new WriteError(
      this.platform.page_origin !== undefined
        ? `${what}, ${gb(free)} more may be kept by this page: remove models (models.list, models.remove), free space on the disk, ask the user for persistent storage (request_persistence), or pass cache: false, which keeps nothing`
        : `${what}, ${gb(free)} are free where ${this.cache.folder} is: make room, or name another folder as the option cache_dir or in HF_HUB_CACHE`,
    );
  }

  private async fetchFile(
    commit: string,
    path: string,
    facts: Located,
    progress: Progress,
    stop: AbortSignal,
  ): Promise<void> {
    progress.begin(path);
    let located = facts;
    for (let changes = 1; ; changes++) {
      try {
        await this.fetchBlob(commit, path, located, (bytes) => progress.loaded(path, bytes), stop);
        return progress.done(path);
      } catch (error) {
        if (!(error instanceof Changed) || changes === MOST_CHANGES) throw error;
        const now = await this.files.locate(commit, path);
        const same = now.etag === located.etag;
        if (!same) for (const one of partialNames(this.cache.blob(located.etag))) await this.platform.remove(one);
        // Where it is the same, the servers that have the bytes do not agree on what it is.
        located = { ...now, size: now.size ?? located.size, pinned: same };
      }
    }
  }

  private async fetchBlob(
    commit: string,
    path: string,
    located: Located,
    loaded: (bytes: number) => void,
    stop: AbortSignal,
  ): Promise<void> {
    const { etag, size } = located;
    // Of what another process fetches, its notes tell.
    const watch = setInterval(() => void this.keptOf(located).then(loaded, () => {}), WATCH_MS);
    const unlock = await this.cache.lock(etag, stop).finally(() => clearInterval(watch));
    try {
      // Another call or process may have fetched it meanwhile.
      if (await this.cache.has(commit, path, size)) return;
      const fresh = !(await this.cache.hasBlob(etag, size));
      const blob = this.cache.blob(etag);
      if (fresh) await transfer(this.platform, this.files.source(commit, path, located), located, blob, loaded, stop);
      await this.cache.place(etag, commit, path, this.settings.linkless, fresh);
    } finally {
      await unlock();
    }
  }

  private async explained(error: Error): Promise<string> {
    if (error instanceof HubError) return error.message;
    const url = new URL(this.files.url ?? this.settings.endpoint);
    const { page_origin } = this.platform;
    const why = page_origin === undefined ? "" : await whyNoAnswer(url, page_origin);
    return `${this.files.name}: ${url.host} cannot be reached: ${printable(error.message, 200)}${why}`;
  }

  private refuseOffline(reason: string): never {
    throw new HubError(
      `${this.files.name}: not all of it is in ${this.cache.folder}, and no server may be asked: ${reason}`,
    );
  }
}
