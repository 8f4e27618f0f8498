// Packages that the bench alone uses: charts, and the programs that the engine is compared with. They stand in
// bench/package.json and are installed when a bench first wants them, never by the tests.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root } from "../tests/fixtures.ts";

const folder = join(root, "bench");
const require = createRequire(join(folder, "package.json"));

/** A package's folder, or undefined where it is not installed. */
export function companionFolder(name: string): string | undefined {
  const path = join(folder, "node_modules", name);
  return existsSync(path) ? path : undefined;
}

/** A CommonJS package, or undefined where it is not installed. */
export const companion = (name: string): any => (companionFolder(name) ? require(name) : undefined);

/** The version that bench/package.json asks for. */
export const companionVersion = (name: string): string =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).devDependencies[name];

/** @throws when the package is not installed */
export const importCompanion = async (name: string): Promise<any> => import(pathToFileURL(require.resolve(name)).href);

/** llama.cpp's binaries for the CPU of this system: by itself npm would bring those for GPUs, too, ten times as large. */
function binaries(): string {
  const { platform, arch } = process;
  const name =
    platform === "darwin"
      ? `mac-${arch === "arm64" ? "arm64-metal" : arch}`
      : `${platform === "win32" ? "win" : platform}-${arch}`;
  return `@node-llama-cpp/${name}@${companionVersion("node-llama-cpp")}`;
}

/** Installs what bench/package.json names. Scripts of packages do not run. @returns whether all went well */
export function installCompanions(): boolean {
  if (companionFolder("echarts")) return true;
  console.error("installing the packages of bench/ …");
  const flags = ["--no-save", "--omit=optional", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
  const options = { cwd: folder, stdio: ["ignore", 2, 2] as never, shell: process.platform === "win32" };
  const { status } = spawnSync("npm", ["install", ...flags, binaries()], options);
  return status === 0;
}
