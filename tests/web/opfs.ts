// Folders of the page's own for tests, made and looked into by the browser's interfaces alone.
import type { Disk } from "../contract/disk.ts";

const handleOf = async (names: readonly string[], create = false): Promise<FileSystemDirectoryHandle> => {
  let folder = await navigator.storage.getDirectory();
  for (const name of names) folder = await folder.getDirectoryHandle(name, { create });
  return folder;
};

/** The names in `opfs:/a/b`. */
export const namesIn = (path: string): string[] =>
  path
    .replace(/^opfs:\/*/, "")
    .split("/")
    .filter(Boolean);

/** Writes a file by its path; the folders must be there. */
export async function writeFile(path: string, bytes: Uint8Array): Promise<void> {
  const names = namesIn(path);
  const file = await (await handleOf(names.slice(0, -1))).getFileHandle(names.at(-1)!, { create: true });
  const stream = await file.createWritable();
  await stream.write(bytes as Uint8Array<ArrayBuffer>);
  await stream.close();
}

export async function readFile(path: string): Promise<Uint8Array> {
  const names = namesIn(path);
  const file = await (await handleOf(names.slice(0, -1))).getFileHandle(names.at(-1)!);
  return new Uint8Array(await (await file.getFile()).arrayBuffer());
}

let count = 0;

/** A folder of its own, empty at first. */
export async function opfsDisk(): Promise<Disk> {
  const folder = `opfs:/suite-${++count}-${crypto.randomUUID()}`;
  await handleOf(namesIn(folder), true);
  const make = async (name: string, bytes: Uint8Array) => {
    await writeFile(`${folder}/${name}`, bytes);
    return `${folder}/${name}`;
  };
  return {
    folder,
    make,
    replace: async (name, bytes) => {
      await (await handleOf(namesIn(folder))).removeEntry(name);
      await make(name, bytes);
    },
    makeFolder: async (name) => {
      await handleOf(namesIn(`${folder}/${name}`), true);
      return `${folder}/${name}`;
    },
    remove: async (name) => {
      await (await handleOf(namesIn(folder))).removeEntry(name, { recursive: true });
    },
    bytes: readFile,
  };
}
