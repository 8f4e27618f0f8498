// Where a model's files come from: a folder, one file with what stands beside it, bytes in memory. Readers ask a Repository
// for files by name and know nothing of paths, so that another source is one more implementation, and a line of
// `openRepository`.
import { fileName, show } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { memoryFile, readAndClose } from "../platform/files.ts";
import type { Files, SourceFile } from "../platform/platform.ts";

export interface RepositoryFile {
  readonly name: string;
  readonly size: number;
}

/** The files of one model. Their names have no folder in them. */
export interface Repository {
  /** What the user called it, for messages. */
  readonly name: string;
  /** The file that the user named, where it was one; the others stand beside it. */
  readonly file?: string;
  /**
   * What there is, by name in ascending order. What stands in a file's place but cannot be opened (a folder, a link that
   * leads nowhere) is in it: `open` says what is wrong with it.
   */
  list(): Promise<readonly RepositoryFile[]>;
  /** Opens a file, which the caller closes. @throws {@link CheckpointError} when it cannot be opened */
  open(name: string): Promise<SourceFile>;
  /** All bytes of a file. @throws {@link CheckpointError} when it cannot be read, or has more than `limit` */
  read(name: string, limit: number): Promise<Uint8Array>;
  /** What to call a file in messages: its path, where it has one. */
  where(name: string): string;
}

/** Opens a file; the caller closes it. */
export type Opener = Repository["open"];

export const hasFile = async (repository: Repository, name: string): Promise<boolean> =>
  (await repository.list()).some((file) => file.name === name);

/**
 * Opens what is on the disk; `findRepository` (hub/find.ts) fetches what is not.
 * @param source - the path of a folder or of a file
 * @throws {@link CheckpointError} when nothing is there;
 *   {@link InputError} when it is no text
 */
export async function openRepository(files: Files, source: string): Promise<Repository> {
  if (typeof source !== "string" || source === "")
    throw new InputError(`expected the path of a checkpoint's folder or file, found ${show(source)}`);
  if (/^(?:[a-z][a-z\d+.-]*:\/\/|blob:|data:|hf:)/i.test(source))
    throw new InputError(`${source}: expected a path, owner/name of a hub, or an https:, http: or file: URL`);
  const found = await files.stat(source);
  if (found?.kind === "folder") return diskRepository(files, source, source);
  const file = fileName(source);
  if (found) return diskRepository(files, source, source.slice(0, -file.length) || ".", file);
  throw new CheckpointError(`${source}: expected a checkpoint's folder or a .gguf file, found nothing`);
}

/** @param name - the path that the user gave: the folder's, or the file's */
function diskRepository(files: Files, name: string, folder: string, file?: string): Repository {
  const where = (other: string) => (other === file ? name : files.join(folder, other));
  const open: Opener = (file) => files.open(where(file));
  let listed: Promise<RepositoryFile[]> | undefined;
  return {
    name,
    file,
    where,
    open,
    read: async (file, limit) => readAndClose(await open(file), limit),
    list() {
      listed ??= listFolder(files, folder);
      return listed;
    },
  };
}

async function listFolder(files: Files, folder: string): Promise<RepositoryFile[]> {
  const names = await files.list(folder);
  return Promise.all(
    names.map(async (name) => {
      // Most names are not asked for: what is wrong with one is said when it is opened.
      const found = await files.stat(files.join(folder, name)).catch(() => null);
      return { name, size: found?.kind === "file" ? found.size : 0 };
    }),
  );
}

/**
 * Files in memory.
 * @param name - what to call it; the files are called as if they stood in a folder of this name
 * @param contents - bytes by name; they stay the caller's, who leaves them as they are
 * @param file - the one that is meant, where it is one
 */
export function memoryRepository(
  name: string,
  contents: Readonly<Record<string, Uint8Array>>,
  file?: string,
): Repository {
  const where = (file: string) => `${name}/${file}`;
  const open: Opener = async (file) => {
    if (!Object.hasOwn(contents, file)) throw new CheckpointError(`${where(file)}: missing`);
    return memoryFile(where(file), contents[file]);
  };
  return {
    name,
    file,
    where,
    open,
    read: async (file, limit) => readAndClose(await open(file), limit),
    list: async () =>
      Object.keys(contents)
        .sort()
        .map((name) => ({ name, size: contents[name].length })),
  };
}
