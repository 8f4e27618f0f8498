// npm run build: the reference by typedoc from the docstrings in src/, the documents as pages, and of both the static site, in
// ../build/site; nothing is fetched. Then every link and anchor of the site is looked up. `pages` as argument stops before the
// site.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { deadLinks } from "./links.mjs";
import { pagesFolder, writePages } from "./pages.mjs";

const site = dirname(fileURLToPath(import.meta.url));

function run(program, ...args) {
  const { status, error } = spawnSync(join(site, "node_modules", ".bin", program), args, {
    cwd: site,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? `exit status ${status}`}`);
}

try {
  mkdirSync(pagesFolder, { recursive: true });
  run("typedoc");
  writePages();
  if (!process.argv.includes("pages")) {
    run("vitepress", "build");
    const dead = deadLinks(join(site, "..", "build", "site"));
    for (const link of dead) console.error(link);
    if (dead.length > 0) throw new Error(`${dead.length} links lead nowhere`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
