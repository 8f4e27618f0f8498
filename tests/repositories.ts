// Repositories for tests: any path's, and one in memory that counts what is done to its files, for hostile files and for
// seeing that readers close what they open and read no more than they should.
import { memoryRepository, openRepository, type Repository } from "../src/checkpoint/repository.ts";
import { currentPlatform } from "../src/platform/index.ts";

export const repositoryAt = async (path: string): Promise<Repository> => openRepository(await currentPlatform(), path);

export interface FileCounts {
  opened: number;
  closed: number;
  /** Bytes of the largest array that a reader wanted filled. */
  largest: number;
  /** Bytes read in all. */
  read: number;
}

export type CountedRepository = Repository & { readonly counts: FileCounts };

const bytesOf = (content: Uint8Array | string) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

/**
 * Called /m.
 * @param file - the one that is meant, where it is one
 */
export function memoryFiles(files: Readonly<Record<string, Uint8Array | string>>, file?: string): CountedRepository {
  const contents = Object.fromEntries(Object.entries(files).map(([name, content]) => [name, bytesOf(content)]));
  return counted(memoryRepository("/m", contents, file));
}

/** The same repository; `counts` has what was done to the files that were opened, not to those read whole. */
export function counted(repository: Repository): CountedRepository {
  const counts: FileCounts = { opened: 0, closed: 0, largest: 0, read: 0 };
  return {
    ...repository,
    counts,
    async open(name) {
      const file = await repository.open(name);
      counts.opened++;
      let open = true;
      return {
        ...file,
        async read(offset, target) {
          counts.largest = Math.max(counts.largest, target.length);
          await file.read(offset, target);
          counts.read += target.length;
        },
        async close() {
          await file.close();
          if (open) counts.closed++;
          open = false;
        },
      };
    },
  };
}
