// A control group of Linux with a limit of memory, for processes that are to have less of it than the machine. Needs the
// right to make one, which containers seldom have.
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

export interface Group {
  /** Sets what the processes in it may use together: their own memory and what they have read of files. */
  limit(bytes: number): void;
  /** What a program's command is begun with, so that it runs in the group. */
  readonly command: readonly string[];
  /** Has the system forget what it holds of files, so that what is read next counts as the group's. */
  forgetFiles(): void;
  remove(): void;
}

/** The group, or why there is none. */
export function memoryGroup(): Group | { reason: string } {
  const [v1, v2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
  const [parent, file] = existsSync(join(v1, "memory.limit_in_bytes"))
    ? [v1, "memory.limit_in_bytes"]
    : [v2, "memory.max"];
  const folder = join(parent, `tramontane-${process.pid}`);
  const caches = "/proc/sys/vm/drop_caches";
  try {
    mkdirSync(folder);
    if (!existsSync(join(folder, file))) throw new Error(`${parent} has no ${file}`);
    writeFileSync(caches, "1");
  } catch (error) {
    if (existsSync(folder)) rmdirSync(folder);
    return { reason: `no control group can be made: ${(error as Error).message}` };
  }
  return {
    limit: (bytes) => writeFileSync(join(folder, file), String(Math.floor(bytes))),
    command: ["sh", "-c", `echo $$ > ${join(folder, "cgroup.procs")} && exec "$0" "$@"`],
    forgetFiles: () => writeFileSync(caches, "1"),
    remove: () => rmdirSync(folder),
  };
}
