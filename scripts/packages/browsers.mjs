// Checks of the package in pages: what esbuild, Vite and webpack make of `tramontane/web` and of `tramontane` (by the condition
// `browser`), and the files as they are, all under the strictest Content-Security-Policy, with threads and without, in Chromium.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** A page's program: asks the demo model, and leaves in `told` what came of it. */
const program = (specifier, ask, before = "") => `
import { AutoModelForCausalLM, AutoTokenizer, configure } from ${JSON.stringify(specifier)};
${before}
async function main() {
  const path = new URL("/models/demo/", location.href).href;
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  const model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2 });
  const messages = [{ role: "user", content: ${JSON.stringify(ask)} }];
  const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
  let text = "";
  for await (const piece of model.stream({ ...inputs, max_new_tokens: 60, tokenizer })) text += piece;
  const { threads, simd, reason } = model.info();
  await model.dispose();
  return { text, threads, simd, reason };
}
main().then((told) => { window.told = told; }, (error) => { window.told = { error: String(error?.stack ?? error) }; });
`;

const page = (script) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Tramontane</title><script type="module" src="${script}"></script></html>`;

const webpackBuild = (webpack) => `
import webpack from ${JSON.stringify(webpack)};
const config = {
  mode: "production", target: "web", context: import.meta.dirname, entry: "./page.mjs",
  experiments: { outputModule: true },
  output: { path: import.meta.dirname + "/out", filename: "page.js", module: true, publicPath: "auto" },
};
webpack(config, (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString());
    process.exitCode = 1;
  }
});
`;

/**
 * @param root - the project's, with its build
 * @param project - makes a fresh project that has only the package
 */
export async function checkBrowsers({ check, run, must, project, tool, tools, newest, root, fact }) {
  const { launchChromium } = await import(pathToFileURL(join(root, "dist", "tests", "web", "browser.js")).href);
  const { startServer } = await import(pathToFileURL(join(root, "dist", "tests", "web", "server.js")).href);
  const browser = await launchChromium();

  /** Opens a page of a folder, and asks it. @returns what it told */
  async function ask(folder, script, isolated) {
    const server = await startServer({
      isolated,
      folders: { "/app/": folder },
      pages: { "/page": page(`/app/${script}`) },
    });
    const context = await browser.newContext();
    try {
      const tab = await context.newPage();
      const faults = [];
      tab.on("pageerror", (error) => faults.push(error.message));
      tab.on("console", (message) => {
        if (message.type() === "error") faults.push(message.text());
      });
      await tab.goto(`${server.url}/page`);
      await tab
        .waitForFunction(() => window.told, undefined, { timeout: 120_000 })
        .catch(() => {
          throw new Error(`the page did not answer: ${faults.join("; ") || "it said nothing"}`);
        });
      const told = await tab.evaluate(() => window.told);
      must(!told.error, `${told.error}\n${faults.join("\n")}`);
      must(told.text === fact.reference, `expected ${JSON.stringify(fact.reference)}, found ${JSON.stringify(told)}`);
      const threads = isolated ? 2 : 1;
      must(told.threads === threads, `expected ${threads} threads, found ${JSON.stringify(told)}`);
      return told;
    } finally {
      await context.close();
      await server.close();
    }
  }

  /** Both with threads and without. */
  const answers = async (folder, script) => {
    const told = await ask(folder, script, true);
    const alone = await ask(folder, script, false);
    return `${told.threads} threads, ${told.simd}; not isolated: ${alone.reason}`;
  };

  const plain = (name) => join(project(name, {}), "node_modules", "tramontane", "dist");
  await check("a page with the package's files as they are, and no bundler", async () => {
    const dist = plain("web-plain");
    writeFileSync(join(dist, "page.js"), program("./web/index.js", fact.ask));
    return answers(dist, "page.js");
  });

  await check("a page that names places of its own with configure", async () => {
    const dist = plain("web-places");
    const app = join(dist, "..", "app");
    mkdirSync(app);
    cpSync(join(dist, "web"), join(app, "elsewhere"), { recursive: true });
    cpSync(join(dist, "wasm"), join(app, "binaries"), { recursive: true });
    const before = `configure({
      wasm_url: new URL("/app/binaries/", location.href),
      worker_url: new URL("/app/elsewhere/engine.js", location.href),
    });`;
    writeFileSync(join(app, "page.js"), program("./elsewhere/index.js", fact.ask, before));
    return answers(app, "page.js");
  });

  for (const specifier of ["tramontane/web", "tramontane"]) {
    const name = (bundler) => `${bundler}: ${specifier} in a page`;
    const files = { "page.mjs": program(specifier, fact.ask) };
    const folder = project(`web-${specifier.replace("/", "-")}`, files);
    await check(name("esbuild"), async () => {
      run(folder, [
        join(tools, "node_modules", ".bin", "esbuild"),
        ...["page.mjs", "--bundle", "--format=esm", "--platform=browser", "--outfile=esbuild/web/page.js"],
      ]);
      // esbuild leaves new URL(…, import.meta.url) as it is: what it names is put beside the bundle.
      const dist = join(folder, "node_modules", "tramontane", "dist");
      for (const part of ["web", "wasm"]) cpSync(join(dist, part), join(folder, "esbuild", part), { recursive: true });
      return answers(join(folder, "esbuild"), "web/page.js");
    });

    await check(name("Vite"), async () => {
      writeFileSync(join(folder, "index.html"), page("/page.mjs"));
      const config =
        'export default { base: "./", logLevel: "warn", worker: { format: "es" }, build: { outDir: "vite", modulePreload: false, rolldownOptions: { output: { entryFileNames: "page.js" } } } };\n';
      writeFileSync(join(folder, "vite.config.mjs"), config);
      run(folder, [...tool("vite", "bin", "vite.js"), "build"]);
      return answers(join(folder, "vite"), "page.js");
    });

    await check(name("webpack"), async () => {
      writeFileSync(join(folder, "build.mjs"), webpackBuild(join(tools, "node_modules", "webpack", "lib", "index.js")));
      run(folder, [...newest, "build.mjs"]);
      return answers(join(folder, "out"), "page.js");
    });
  }
  await browser.close();
}
