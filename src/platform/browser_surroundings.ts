// What surrounds a program in a browser: no environment, no file: URLs, and a console.
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { InputError } from "../errors.ts";
import type { Surroundings } from "./platform.ts";

const algorithms = { sha1, sha256 };

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const browserSurroundings: Surroundings = {
  environment: () => undefined,
  page_origin: globalThis.location?.origin ?? "",
  // The root of the page's own files: what stands in the user's folder elsewhere is there.
  home_folder: () => "opfs:",
  path_of(url) {
    throw new InputError(
      `${url.href}: a page may not read file: URLs: let the user pick the files, and pass the File objects`,
    );
  },
  hasher(algorithm) {
    const hash = algorithms[algorithm].create();
    return { update: (bytes) => void hash.update(bytes), hex: () => hexOf(hash.digest()) };
  },
  warn: (text) => console.warn(`Tramontane: ${text}`),
};

/** The rest of a line that has not ended yet. */
let line = "";

/** `write_stdout` of a Platform: whole lines go to the console. */
export function writeConsole(text: string): void {
  const lines = (line + text).split("\n");
  line = lines.pop()!;
  for (const each of lines) console.log(each);
}

/** The browser and its version, as its user agent says. */
export function browserVersion(agent: string): string {
  // Most call themselves Chrome, too, and Chrome calls itself Safari.
  const names = { Edge: "Edg", Opera: "OPR", Firefox: "Firefox", Chrome: "(?:Headless)?Chrome", Safari: "Version" };
  for (const [name, word] of Object.entries(names)) {
    const [, version] = new RegExp(`\\b${word}/([\\d.]+)`).exec(agent) ?? [];
    if (version) return `${name} ${version}`;
  }
  return "unknown";
}
