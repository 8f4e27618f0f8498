// npm run pack:demo [-- FOLDER]: makes the package tramontane-demo of packages/demo and models/demo, quantized by `quantize`,
// and puts the tarball into a folder (packages/demo where none is named). Prints its path.
import { copyFileSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root } from "./fetch-runtimes.mjs";
import { pack } from "./packages/running.mjs";

const folder = join(root, "packages", "demo");

/** @returns the tarball's path */
export async function packDemo(destination = folder) {
  const { quantize } = await import(pathToFileURL(join(root, "dist", "src", "index.js")).href);
  // Beside its place first: two may pack at once.
  const scratch = mkdtempSync(join(folder, "scratch-"));
  try {
    await quantize(join(root, "models", "demo"), join(scratch, "demo.gguf"), { type: "Q8_0" });
    renameSync(join(scratch, "demo.gguf"), join(folder, "demo-Q8_0.gguf"));
  } finally {
    rmSync(scratch, { recursive: true });
  }
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  return join(destination, pack(folder, destination).filename);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(await packDemo(process.argv[2]));
