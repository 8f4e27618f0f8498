// The hash of the sources that a binary is made from.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** SHA-256 over the names and bytes of the files of some folders, each with the ends of their names. */
export function hashSources(...folders) {
  const hash = createHash("sha256");
  for (const [folder, extensions] of folders) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (!extensions.some((e) => name.endsWith(e))) continue;
      hash.update(`${folder}/${name}\0`).update(readFileSync(join(root, folder, name)));
    }
  }
  return hash.digest("hex");
}
