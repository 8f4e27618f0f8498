// The cache on disk, laid out as the Python client has it, which uses what is downloaded here, and the other way round:
//   models--owner--name/blobs/ETAG                 a file by what is in it
//                      /snapshots/COMMIT/PATH      a link to its blob
//                      /refs/REVISION              the commit that a branch or a tag was last
//                      /trees/COMMIT.json          what the commit holds
//                      /.no_exist/COMMIT/PATH      what it is known not to hold
//   .locks/models--owner--name/
// Where there are no links (Windows without its developer mode), the file itself stands in the snapshot.
import { WriteError } from "../errors.ts";
import { saveFile } from "../platform/files.ts";
import type { Platform } from "../platform/platform.ts";
import { checkPath, isCommit, type Listing, MOST_FILES, readTree, type TreeEntry, treeText } from "./listing.ts";
import { readSmall } from "./settings.ts";

const MOST_TREE_BYTES = 2 ** 26;

export class RepositoryCache {
  readonly folder: string;
  private readonly platform: Platform;
  private readonly locks: string;

  /** @param name - of the repository's folder */
  constructor(platform: Platform, cache: string, name: string) {
    this.platform = platform;
    this.folder = platform.join(cache, name);
    this.locks = platform.join(cache, ".locks", name);
  }

  private path(...parts: string[]): string {
    return this.platform.join(this.folder, ...parts);
  }

  blob(etag: string): string {
    return this.path("blobs", etag);
  }

  /** The folder of a commit, or a file in it. */
  snapshot(commit: string, path = ""): string {
    return this.path("snapshots", commit, ...(path && checkPath(path, this.folder).split("/")));
  }

  /** Whether a snapshot has a file; one of another size is none. @param size - 0 where it is not known */
  has(commit: string, path: string, size = 0): Promise<boolean> {
    return this.isFile(this.snapshot(commit, path), size);
  }

  hasBlob(etag: string, size = 0): Promise<boolean> {
    return this.isFile(this.blob(etag), size);
  }

  private async isFile(path: string, size: number): Promise<boolean> {
    const found = await this.platform.stat(path);
    return found?.kind === "file" && (size === 0 || found.size === size);
  }

  /** The commit that a revision was when it was last asked for. */
  async commit(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const commit = (await readSmall(this.platform, this.ref(revision)))?.trim();
    return commit !== undefined && isCommit(commit) ? commit : undefined;
  }

  private ref(revision: string): string {
    return this.path("refs", ...checkPath(revision, "revision").split("/"));
  }

  async keepCommit(revision: string, commit: string): Promise<void> {
    if (revision !== commit && (await this.commit(revision)) !== commit) await this.save(this.ref(revision), commit);
  }

  /** What a commit holds, where it is known. */
  async tree(commit: string): Promise<Listing | undefined> {
    return readTree(await readSmall(this.platform, this.path("trees", `${commit}.json`), MOST_TREE_BYTES));
  }

  keepTree(commit: string, listing: Listing): Promise<void> {
    return this.save(this.path("trees", `${commit}.json`), treeText(listing));
  }

  /** Notes that a commit has no such file. */
  keepAbsence(commit: string, path: string): Promise<void> {
    return this.save(this.path(".no_exist", commit, ...checkPath(path, this.folder).split("/")), "");
  }

  /** Notes which URL it is that the folder is of. */
  keepURL(url: string): Promise<void> {
    return this.save(this.path("url"), url);
  }

  /** What there is of a commit, in the place of its tree. */
  async present(commit: string): Promise<Listing> {
    return new Map(
      (await filesBelow(this.platform, this.snapshot(commit))).map(
        (path) => [path, { size: 0, blob_id: "" }] as [string, TreeEntry],
      ),
    );
  }

  /** Makes the folders that a file will stand in. */
  async prepare(commit: string, paths: readonly string[]): Promise<void> {
    const folders = new Set(paths.map((path) => this.platform.join(this.snapshot(commit, path), "..")));
    for (const folder of [this.path("blobs"), this.locks, ...folders]) await this.platform.make_folder(folder);
  }

  lock(etag: string, signal?: AbortSignal): Promise<() => Promise<void>> {
    return this.platform.lock(this.platform.join(this.locks, `${etag}.tramontane.lock`), signal);
  }

  /**
   * Puts a blob into a snapshot, as a link to it where there are links and they are wanted.
   * @param fresh - whether it has just come: else other snapshots may lead to it, too
   */
  async place(etag: string, commit: string, path: string, linkless: boolean, fresh: boolean): Promise<void> {
    const { platform } = this;
    const place = this.snapshot(commit, path);
    // Of another size, or a link that leads nowhere.
    await platform.remove(place);
    const up = "../".repeat(path.split("/").length + 1);
    if (!linkless && (await platform.symlink(`${up}blobs/${etag}`, place))) return;
    if (fresh) await platform.rename(this.blob(etag), place);
    else await platform.copy(this.blob(etag), place);
  }

  /** Writes a note, whole or not at all. A cache that may only be read does without. */
  private async save(path: string, text: string): Promise<void> {
    try {
      await this.platform.make_folder(this.platform.join(path, ".."));
      await saveFile(this.platform, path, (file) => file.write(new TextEncoder().encode(text)));
    } catch (error) {
      if (!(error instanceof WriteError)) throw error;
    }
  }
}

/** The files of a folder and those in it, by their paths from there; what leads nowhere is none. */
export async function filesBelow(platform: Platform, folder: string): Promise<string[]> {
  const files: string[] = [];
  const folders = [""];
  for (let at = folders.pop(); at !== undefined && files.length < MOST_FILES; at = folders.pop()) {
    for (const { name, kind } of await platform.entries(platform.join(folder, at))) {
      const path = at === "" ? name : `${at}/${name}`;
      if (kind === "folder") folders.push(path);
      else if ((await platform.stat(platform.join(folder, path)))?.kind === "file") files.push(path);
    }
  }
  return files.sort();
}
