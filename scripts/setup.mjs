// What `npm start` and `npm test` run first: brings in the dependencies and compiles the TypeScript,
// each only where it is missing or older than its sources; with --web the scripts of pages, too. Plain JavaScript: it runs
// before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command in the project's root with its output on standard error; ends this process if it fails. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (result.status !== 0) {
    console.error(`${command} ${args.join(" ")} failed${result.error ? `: ${result.error.message}` : ""}`);
    process.exit(result.status ?? 1);
  }
}

/** Folders that hold no sources: what the bench installs, writes and measures. */
const ignored = ["node_modules", "cache", "results"].map((name) => join(root, "bench", name));

/** The newest modification time under a folder, in milliseconds. */
function newest(path) {
  if (ignored.includes(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const installed = join(root, "node_modules", ".package-lock.json");
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(root, "package-lock.json")).mtimeMs) {
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}

if (!process.argv.includes("--dependencies-only")) {
  const built = join(root, "dist", ".built");
  const sources = ["src", "tests", "bench", "wasm", "tsconfig.json", "package.json"].map((name) => join(root, name));
  const stale =
    !existsSync(built) || sources.some((path) => existsSync(path) && newest(path) > statSync(built).mtimeMs);
  if (stale) run(process.execPath, [join(root, "scripts", "build.mjs"), "ts"]);
  const page = join(root, "dist", "web", "index.js");
  if (process.argv.includes("--web") && !(existsSync(page) && statSync(page).mtimeMs >= statSync(built).mtimeMs))
    run(process.execPath, [join(root, "scripts", "build.mjs"), "web"]);
}
