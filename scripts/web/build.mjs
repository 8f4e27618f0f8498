// Builds the chat page: its code and styles, the library beside it, the demo model, and the service worker that names them.
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "./root.mjs";

const source = join(root, "src", "web", "chat");

/** The library stands beside the page, as it is published. */
const library = {
  name: "library",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/index\.ts$/ }, ({ importer }) =>
      importer === join(source, "engine.ts") ? { path: "./web/index.js", external: true } : undefined,
    );
  },
};

/** Another engine in the place of the library's. */
const engineOf = (path) => ({
  name: "engine",
  setup({ onResolve }) {
    onResolve({ filter: /\/engine\.ts$/ }, () => ({ path }));
  },
});

const shared = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
};

/** The demo model as a GGUF file, made where it is missing or older than what it is made of. */
export async function demoModel() {
  const made = join(root, "build", "demo-Q8_0.gguf");
  const from = join(root, "models", "demo");
  if (existsSync(made) && statSync(made).mtimeMs >= statSync(join(from, "model.safetensors")).mtimeMs) return made;
  const { quantize } = await import(pathToFileURL(join(root, "dist", "src", "index.js")).href);
  mkdirSync(join(root, "build"), { recursive: true });
  const scratch = `${made}.${process.pid}`;
  await quantize(from, scratch, { type: "Q8_0" });
  renameSync(scratch, made);
  return made;
}

/**
 * @param out - the folder, whose files of an earlier build are replaced
 * @param options - engine: the path of a module in the place of the page's engine.ts, for tests
 * @returns how many files there are, and bytes of the page's own code and styles, by Brotli
 */
export async function buildPage(out, { engine } = {}) {
  for (const name of ["web", "wasm", "demo"]) rmSync(join(out, name), { recursive: true, force: true });
  await build({
    ...shared,
    entryPoints: { chat: join(source, "main.tsx") },
    jsx: "automatic",
    jsxImportSource: "preact",
    plugins: engine ? [engineOf(engine)] : [library],
    outdir: out,
  });
  await build({ ...shared, entryPoints: { chat: join(source, "style", "index.css") }, outdir: out });
  await build({ ...shared, format: "iife", entryPoints: { theme: join(source, "theme.ts") }, outdir: out });
  for (const name of ["index.html", "manifest.webmanifest", "icon.svg"]) cpSync(join(source, name), join(out, name));
  const own = ["chat.js", "chat.css", "theme.js", "index.html"];
  const now = [...own, "manifest.webmanifest", "icon.svg"];
  if (!engine) now.push(...copyLibrary(out));
  mkdirSync(join(out, "demo"), { recursive: true });
  if (!engine) cpSync(await demoModel(), join(out, "demo", "demo-Q8_0.gguf"));
  else writeFileSync(join(out, "demo", "demo-Q8_0.gguf"), "a demo");
  await buildServiceWorker(out, now);
  const files = readdirSync(out, { recursive: true }).filter((name) => statSync(join(out, name)).isFile()).length;
  return { files, bytes: own.concat("service_worker.js").reduce((sum, name) => sum + compressed(join(out, name)), 0) };
}

const compressed = (path) => brotliCompressSync(readFileSync(path)).length;

/** @returns the names of what the page needs at once */
function copyLibrary(out) {
  const copied = [];
  for (const folder of ["web", "wasm"]) {
    mkdirSync(join(out, folder), { recursive: true });
    for (const name of readdirSync(join(root, "dist", folder))) {
      if (!/\.(js|wasm)$/.test(name)) continue;
      cpSync(join(root, "dist", folder, name), join(out, folder, name));
      // What writes models is not needed to talk with one.
      if (!/^(convert\.wasm|tools-)/.test(name)) copied.push(`${folder}/${name}`);
    }
  }
  return copied;
}

/** The page's address is its folder's, too. */
async function buildServiceWorker(out, files) {
  const hash = createHash("sha256");
  for (const name of [...files, "demo/demo-Q8_0.gguf"].sort())
    hash.update(`${name}\0`).update(readFileSync(join(out, name)));
  await build({
    ...shared,
    format: "iife",
    entryPoints: { service_worker: join(source, "service_worker.ts") },
    define: { BUILD: JSON.stringify(hash.digest("hex").slice(0, 16)), FILES: JSON.stringify(files) },
    outdir: out,
  });
}
