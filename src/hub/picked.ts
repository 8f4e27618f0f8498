// Files that the user picked or dropped, in the place of a path: one, several, or a folder's handle. They are read where they
// are, by ranges, never copied.

import type { Repository } from "../checkpoint/repository.ts";
import { fileName, showName } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { blobFile } from "../platform/browser_picked.ts";
import { readAndClose } from "../platform/files.ts";
import { choose, type Purpose } from "./choose.ts";
import { checkPath, type Listing } from "./listing.ts";

/** What of a `File` is asked: a browser's, or that of node:buffer. */
export interface PickedFile {
  readonly name: string;
  readonly size: number;
  /** Where it was picked with its folder. */
  readonly webkitRelativePath?: string;
  arrayBuffer(): Promise<ArrayBuffer>;
  slice(start?: number, end?: number): { readonly size: number; arrayBuffer(): Promise<ArrayBuffer> };
}

/** What of a `FileSystemDirectoryHandle` is asked. */
export interface PickedFolder {
  readonly kind: "directory";
  readonly name: string;
  values(): AsyncIterable<{ readonly kind: "file" | "directory"; readonly name: string }>;
}

/** A picked folder's files, of which only those that are needed are asked for. */
type Picked = ReadonlyMap<string, () => Promise<PickedFile>>;

/** More than any model has. */
const MOST_PICKED = 10_000;

const isFile = (value: unknown): value is PickedFile =>
  typeof Blob === "function" && value instanceof Blob && typeof (value as { name?: unknown }).name === "string";

const isFolder = (value: unknown): value is PickedFolder =>
  (value as PickedFolder | null)?.kind === "directory" && typeof (value as PickedFolder).values === "function";

const isList = (value: unknown): value is ArrayLike<PickedFile> =>
  typeof value === "object" && value !== null && Number.isSafeInteger((value as { length?: unknown }).length);

/** Whether a source is of what was picked; of the wrong kinds, too, which `openPicked` refuses. */
export const isPicked = (source: unknown): source is PickedFile | ArrayLike<PickedFile> | PickedFolder =>
  isFile(source) || isFolder(source) || isList(source);

/**
 * Opens what was picked, as a folder, or as the file where it is one.
 * @param file - one of the files, or the type of a GGUF, where one was named
 * @throws CheckpointError when it is no model; InputError when it is no files, or two of one name
 */
export async function openPicked(
  source: PickedFile | ArrayLike<PickedFile> | PickedFolder,
  purpose: Purpose,
  file?: string,
): Promise<Repository> {
  const folder = isFolder(source) ? source.name || "the picked folder" : "the picked files";
  const all = isFolder(source) ? await filesOfFolder(source) : filesOfList(isFile(source) ? [source] : source);
  if (all.size === 0) throw new CheckpointError(`${folder}: expected the files of a model, found none`);
  const [only, ...others] = all.keys();
  if (file === undefined && !isFolder(source) && others.length === 0) return repositoryOf(only, all, only);
  if (file !== undefined) return repositoryOf(folder, all, chosen(folder, all, purpose, file));
  refuseOthers(folder, all);
  return repositoryOf(folder, all);
}

function filesOfList(list: ArrayLike<PickedFile>): Picked {
  const all = new Map<string, () => Promise<PickedFile>>();
  for (const file of Array.from(list)) {
    if (!isFile(file)) throw new InputError("the picked files: expected File objects, found something else among them");
    // A folder that was picked by an input element: its name comes first, and what is in its folders is not meant.
    const path = (file.webkitRelativePath || file.name).split("/");
    if (path.length > 2) continue;
    const name = path[path.length - 1];
    if (all.has(name)) throw new InputError(`the picked files: ${showName(name)} is there twice`);
    all.set(name, async () => file);
  }
  return all;
}

async function filesOfFolder(folder: PickedFolder): Promise<Picked> {
  const all = new Map<string, () => Promise<PickedFile>>();
  for await (const entry of folder.values()) {
    if (entry.kind !== "file") continue;
    if (all.size === MOST_PICKED)
      throw new CheckpointError(`${showName(folder.name)}: expected at most ${MOST_PICKED} files, found more`);
    all.set(entry.name, () => (entry as unknown as { getFile(): Promise<PickedFile> }).getFile());
  }
  return all;
}

/** The file that a name or a type means; none for a tokenizer, of which other files are read, too. */
function chosen(folder: string, all: Picked, purpose: Purpose, file: string): string | undefined {
  if (all.has(file)) return purpose === "tokenizer" && !file.endsWith(".gguf") ? undefined : file;
  const listing: Listing = new Map([...all.keys()].map((name) => [checkPath(name, folder), { size: 0, blob_id: "" }]));
  return choose(folder, listing, purpose, file).file;
}

/** What every model has something of; other files are told of before a reader misses what it looks for. */
function refuseOthers(folder: string, all: Picked): void {
  if ([...all.keys()].some((name) => /\.(gguf|safetensors|json|model|bin)$|^tokenizer\.model/.test(name))) return;
  const found = [...all.keys()].sort().slice(0, 5).map(showName).join(", ");
  throw new CheckpointError(
    `${folder}: expected a .gguf file, or config.json, tokenizer.json and .safetensors files, found ${found}`,
  );
}

function repositoryOf(name: string, all: Picked, file?: string): Repository {
  const open: Repository["open"] = async (name) => {
    const found = all.get(name);
    if (!found) throw new CheckpointError(`${name}: missing among the picked files`);
    try {
      return blobFile(name, (await found()) as unknown as Blob);
    } catch (cause) {
      throw new CheckpointError(`${name}: cannot be opened: ${(cause as Error).message}`, { cause });
    }
  };
  return {
    name,
    file,
    open,
    where: (name) => fileName(name),
    read: async (name, limit) => readAndClose(await open(name), limit),
    list: async () => {
      const names = [...all.keys()].sort();
      return Promise.all(
        names.map(async (name) => ({ name, size: (await all.get(name)!().catch(() => undefined))?.size ?? 0 })),
      );
    },
  };
}
