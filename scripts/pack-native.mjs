// npm run pack:native [-- FOLDER]: makes the package of native kernels for this machine, tramontane-native-<system>-<arch>, and
// puts the tarball into a folder (native/ where none is named). Prints its path.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root } from "./fetch-runtimes.mjs";
import { buildNative } from "./native.mjs";
import { pack } from "./packages/running.mjs";

/** @returns the tarball's path */
export async function packNative(destination = join(root, "native")) {
  const machine = `${process.platform}-${process.arch}`;
  const { version, license, author } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const folder = mkdtempSync(join(tmpdir(), "tramontane-pack-"));
  try {
    const description = {
      name: `tramontane-native-${machine}`,
      version,
      description: `Native kernels of Tramontane for ${machine}: the same bits as in WebAssembly, sooner`,
      license,
      author,
      os: [process.platform],
      cpu: [process.arch],
      exports: { "./kernels.so": "./kernels.so", "./package.json": "./package.json" },
      files: ["kernels.so"],
    };
    writeFileSync(join(folder, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
    copyFileSync(join(root, "packages", "native", "README.md"), join(folder, "README.md"));
    copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
    await buildNative(join(folder, "kernels.so"));
    mkdirSync(destination, { recursive: true });
    return join(destination, pack(folder, destination).filename);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(await packNative(process.argv[2]));
