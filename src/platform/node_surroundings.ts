// What surrounds a program, by modules that Node, Deno and Bun all have.
import { createHash } from "node:crypto";
import os from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import type { Surroundings } from "./platform.ts";

export const nodeSurroundings: Surroundings = {
  environment(name) {
    try {
      return process.env[name];
    } catch {
      return undefined; // Deno without --allow-env
    }
  },
  home_folder() {
    try {
      return os.homedir();
    } catch (cause) {
      throw new InputError(`the user's folder: ${(cause as Error).message}; or name the cache in HF_HOME`, { cause });
    }
  },
  path_of(url) {
    try {
      return fileURLToPath(url);
    } catch (cause) {
      throw new InputError(`${url.href}: expected the URL of a file of this machine: ${(cause as Error).message}`, {
        cause,
      });
    }
  },
  hasher(algorithm) {
    const hash = createHash(algorithm);
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest("hex") };
  },
  warn: (text) => process.emitWarning(text, "TramontaneWarning"),
};
