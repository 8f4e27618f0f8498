// What the tests of downloads share: a fake hub that the environment names, a cache of their own, files that look like a model.
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import { pattern } from "../contract/disk.ts";
import { FakeHub } from "./fake_hub.ts";

export const temporary = mkdtempSync(join(tmpdir(), "tramontane-hub-"));
export const hub = await FakeHub.start();

for (const name of Object.keys(process.env)) if (/^(HF|HUGGING|TRANSFORMERS)/.test(name)) delete process.env[name];
process.env["HF_HOME"] = join(temporary, "home");
process.env["HF_ENDPOINT"] = hub.endpoint;

/** How long is waited for a server, in seconds: far longer than a busy machine needs. A test of waiting sets less. */
export const PATIENCE = "60";
process.env["HF_HUB_ETAG_TIMEOUT"] = process.env["HF_HUB_DOWNLOAD_TIMEOUT"] = PATIENCE;

test.before.each(() => hub.reset());
test.after(async () => {
  await hub.close();
  rmSync(temporary, { recursive: true, force: true });
});

let caches = 0;
/** A cache that nobody has used. */
export const freshCache = (): string => join(temporary, `cache-${caches++}`);

/** Small files of a model. */
export const configs = { "config.json": '{"model_type":"mixtral"}', "tokenizer.json": "{}" };

/** Longer than a request's range: it comes in three. */
export const LARGE = 2 * 2 ** 24 + 12345;
let large: Uint8Array | undefined;
export const largeBytes = (): Uint8Array => (large ??= pattern(LARGE));

/** All paths below a folder, what is a link as `path -> target`. */
export function tree(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return tree(path).map((below) => `${entry.name}/${below}`);
      return [entry.isSymbolicLink() ? `${entry.name} -> ${readlinkSync(path)}` : entry.name];
    })
    .sort();
}

export const sizeOf = (path: string): number => statSync(path).size;
