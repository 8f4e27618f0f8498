// A browser's own files, by paths in the Origin Private File System. Nothing is kept yet.
import { WriteError } from "../errors.ts";
import type { Files, Store } from "./platform.ts";

const refuse = async (path: string): Promise<never> => {
  throw new WriteError(`${path}: cannot be written: this page keeps no files`);
};

export const browserStore: Store & Pick<Files, "create" | "resume" | "createFolder" | "free_space"> = {
  create: refuse,
  resume: refuse,
  createFolder: refuse,
  free_space: async () => undefined,
  make_folder: refuse,
  patch: refuse,
  symlink: async () => false,
  rename: (_, to) => refuse(to),
  copy: (_, to) => refuse(to),
  remove: refuse,
  entries: async () => [],
  lock: refuse,
};
