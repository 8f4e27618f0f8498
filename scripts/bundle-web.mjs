// The browser's part of the build: dist/src/web/{index,engine}.js with all that they import → dist/web/{index,engine}.js, the
// page's script and its workers', and what both have in common; beside the binaries in dist/wasm. And the same way for the tests
// that run in browsers.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";
import { minify } from "terser";

/** Chooses the browser's platform when it is bundled, so that nothing of the others comes along, nor of native kernels. */
const browserPlatform = {
  name: "the browser's platform",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/(library|native)\.js$/ }, ({ resolveDir }) =>
      basename(resolveDir) === "offload" ? { path: "native", namespace: "nothing" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "nothing" }, () => ({ contents: "export {};" }));
    onResolve({ filter: /\/index\.js$/ }, ({ path, resolveDir }) => {
      const file = join(resolveDir, path);
      if (basename(dirname(file)) !== "platform" || basename(dirname(dirname(file))) !== "src") return undefined;
      return { path: join(dirname(file), "browser_index.js") };
    });
  },
};

/** Bundles entries into a folder, each as one ES module. @returns esbuild's metafile */
async function bundle(entries, outdir, options = {}) {
  const { metafile } = await build({
    entryPoints: entries,
    outdir,
    bundle: true,
    format: "esm",
    platform: "browser",
    target: ["chrome111", "firefox114", "safari16.4"],
    plugins: [browserPlatform],
    legalComments: "inline",
    logLevel: "warning",
    metafile: true,
    ...options,
  });
  return metafile;
}

/** @param dist - the folder with the compiled `src` */
export async function buildWeb(dist) {
  const entries = ["index", "engine"].map((name) => join(dist, "src", "web", `${name}.js`)).filter(existsSync);
  const folder = join(dist, "web");
  // What was common once has another name now.
  rmSync(folder, { recursive: true, force: true });
  await bundle(entries, folder, { minify: true, splitting: true, chunkNames: "[name]-[hash]" });
  // What esbuild leaves: two in a hundred of what pages load.
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const options = { module: true, ecma: 2022, compress: { passes: 2 }, format: { comments: /@license|^!/ } };
    const { code } = await minify(readFileSync(path, "utf8"), options);
    writeFileSync(path, code);
  }
}

/**
 * Bundles the suites that run in a browser (NAME.worker.js, NAME.window.js), what they start threads of (NAME.thread.js), and
 * the page that runs them, readable.
 * @param dist - the folder with the compiled `tests`
 * @returns the suites' names
 */
export async function buildSuites(dist) {
  const folder = join(dist, "tests", "web");
  const names = readdirSync(folder).filter((name) => /\.(worker|window|thread)\.js$/.test(name));
  await bundle(
    [...names, "suite_page.js"].map((name) => join(folder, name)),
    join(dist, "web-tests"),
    // Suites import for effects, though the package has none.
    { sourcemap: "inline", ignoreAnnotations: true },
  );
  return names.filter((name) => !name.endsWith(".thread.js"));
}
