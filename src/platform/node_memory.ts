// Memory that can still be had, as Linux tells it: what the system has free or can take back from files, and what the
// control groups that the process is in leave it. A runtime's own figure stands in where that cannot be read.
import { readFileSync } from "node:fs";

/** @returns a file's text, undefined where there is none or it may not be read */
type ReadText = (path: string) => string | undefined;

/** Where control groups of each version have their limit, what is used, and in `memory.stat` the files' part of that. */
const VERSIONS = [
  {
    controller: "",
    roots: ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
    limit: "memory.max",
    used: "memory.current",
    total: "",
  },
  {
    controller: "memory",
    roots: ["/sys/fs/cgroup/memory"],
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    total: "total_",
  },
] as const;

/** @param read - for tests */
export function linuxMemory(read: ReadText = readText): number | undefined {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  if (kilobytes === undefined) return undefined;
  return Math.min(1024 * Number(kilobytes), ...groupsOf(read).map((group) => roomIn(group, read)));
}

/** The groups that the process is in, and those around them. A container sees its own as the root. */
function groupsOf(read: ReadText): { folder: string; version: (typeof VERSIONS)[number] }[] {
  const lines = (read("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  return VERSIONS.flatMap((version) => {
    const path = lines
      .find(([, controllers]) => controllers?.split(",").includes(version.controller))
      ?.slice(2)
      .join(":");
    if (path === undefined) return [];
    const names = path.split("/").filter((name) => name && name !== "..");
    const inner = names.map((_, i) => `/${names.slice(0, i + 1).join("/")}`);
    return version.roots.flatMap((root) => ["", ...inner].map((name) => ({ folder: root + name, version })));
  });
}

/** Bytes that a group allows beyond those in use; what files take of these the system takes back. Infinite without a limit. */
function roomIn({ folder, version }: ReturnType<typeof groupsOf>[number], read: ReadText): number {
  const number = (name: string) => Number.parseInt(read(`${folder}/${name}`) ?? "", 10);
  const [limit, used] = [number(version.limit), number(version.used)];
  if (Number.isNaN(limit) || Number.isNaN(used)) return Infinity;
  const stat = read(`${folder}/memory.stat`) ?? "";
  const files = ["inactive_file", "active_file"].map((name) =>
    Number(new RegExp(`^${version.total}${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0),
  );
  return Math.max(0, limit - used + files[0] + files[1]);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
