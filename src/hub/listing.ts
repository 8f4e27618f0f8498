// What a repository holds: paths, sizes and hashes, as the hub's tree tells them and the Python client keeps them in
// `trees/COMMIT.json`. Paths come from a server, and become paths of the cache: only plain ones are taken.
import { show } from "../config/show.ts";
import { HubError } from "../errors.ts";

/** A file of a listing, in the fields of the Python client's trees. */
export interface TreeEntry {
  readonly size: number;
  /** Git's SHA-1 of the blob. */
  readonly blob_id: string;
  readonly lfs_sha256?: string;
  readonly lfs_size?: number;
  readonly xet_hash?: string;
}

/** Bytes of the file itself, not of what stands for it in git. */
export const sizeOf = ({ size, lfs_size }: TreeEntry): number => lfs_size ?? size;

/** By path. */
export type Listing = ReadonlyMap<string, TreeEntry>;

/** More than any model has. */
export const MOST_FILES = 100_000;

const isHex = (value: unknown, digits: number): value is string =>
  typeof value === "string" && new RegExp(`^[0-9a-f]{${digits}}$`).test(value);

/** A commit, not a branch or a tag. */
export const isCommit = (revision: string): boolean => isHex(revision, 40);

/** Whether a path of a repository, or a revision, can be one below a folder, on every system. */
export const isPlainPath = (path: string): boolean =>
  path.length <= 1024 &&
  path.split("/").every((part) => /^[^\\:*?"<>|\p{Cc}]{1,200}$/u.test(part) && !/^\.{1,2}$|[. ]$/.test(part));

/** @throws {@link HubError} */
export function checkPath(path: string, what: string): string {
  if (!isPlainPath(path)) throw new HubError(`${what}: expected a plain path, found ${show(path)}`);
  return path;
}

/** An ETag as it names a blob: without quotes. @throws {@link HubError} when it can name no file */
export function blobName(etag: string | null | undefined, where: string): string {
  const name = (etag ?? "").replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
  if (!/^[\w-][\w.-]{0,199}$/.test(name))
    throw new HubError(`${where}: expected an ETag, by which the file is kept, found ${show(name || undefined)}`);
  return name;
}

/** A page of the hub's tree, added to a listing. @throws {@link HubError} */
export function addPage(listing: Map<string, TreeEntry>, page: unknown, where: string): void {
  if (!Array.isArray(page)) throw new HubError(`${where}: expected a list of files, found ${show(page)}`);
  for (const item of page) {
    const { type, path, size, oid, lfs, xetHash } = (item ?? {}) as Record<string, unknown>;
    if (type !== "file") continue;
    const { oid: sha256, size: lfs_size } = (lfs ?? {}) as Record<string, unknown>;
    const entry = readEntry({
      ...{ size, blob_id: oid },
      ...(lfs ? { lfs_sha256: sha256, lfs_size } : {}),
      ...(typeof xetHash === "string" ? { xet_hash: xetHash } : {}),
    });
    if (typeof path !== "string" || !entry)
      throw new HubError(
        `${where}: expected files with path, size and oid, found ${show(path)} of ${show(size)} bytes`,
      );
    listing.set(path, entry);
  }
  if (listing.size > MOST_FILES) throw new HubError(`${where}: expected at most ${MOST_FILES} files, found more`);
}

const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

function readEntry(given: Record<string, unknown>): TreeEntry | undefined {
  const { size, blob_id, lfs_sha256, lfs_size, xet_hash } = given;
  const whole = isSize(size) && typeof blob_id === "string" && (xet_hash === undefined || typeof xet_hash === "string");
  const of_lfs = lfs_sha256 === undefined ? lfs_size === undefined : isHex(lfs_sha256, 64) && isSize(lfs_size);
  return whole && of_lfs ? (given as unknown as TreeEntry) : undefined;
}

/** `trees/COMMIT.json`. */
export const treeText = (listing: Listing): string =>
  JSON.stringify(
    { format_version: 1, files: Object.fromEntries([...listing].sort(([a], [b]) => (a < b ? -1 : 1))) },
    null,
    1,
  );

/** The same read; undefined where it is none, or of another version. */
export function readTree(text: string | undefined): Listing | undefined {
  try {
    const { format_version, files } = JSON.parse(text ?? "");
    if (format_version !== 1) return undefined;
    const entries = Object.entries(files).map(([path, entry]) => [path, readEntry(entry as Record<string, unknown>)]);
    return entries.every(([, entry]) => entry) ? new Map(entries as [string, TreeEntry][]) : undefined;
  } catch {
    return undefined;
  }
}
