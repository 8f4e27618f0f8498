// Packages that the bench alone uses: charts, and the programs that the engine is compared with. They stand in
// bench/package.json and are installed when a bench first wants them, never by the tests.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
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

/** Installs what bench/package.json names. Scripts of packages do not run. @returns whether all went well */
export function installCompanions(): boolean {
  if (companionFolder("echarts")) return true;
  console.error("installing the packages of bench/ …");
  const args = ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
  const { status } = spawnSync("npm", args, {
    cwd: folder,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  return status === 0;
}
