// npm run test:packages: the package as npm packs it, installed into fresh projects of every kind, where the demo model must
// answer as the reference does: Node (import and require), Deno, Bun, TypeScript, esbuild, Vite, webpack; with koffi and
// without. And what the package holds, how large it is, and what publint, attw and Deno's publisher say of it.
// Ends with one line `N passed, N failed`. The tools are installed into a temporary folder, not into the project.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { fetchMusl } from "./fetch-musl.mjs";
import { fetchRuntimes, root } from "./fetch-runtimes.mjs";
import { compilerFor } from "./native.mjs";
import { packDemo } from "./pack-demo.mjs";
import { packNative } from "./pack-native.mjs";
import { checkBrowsers } from "./packages/browsers.mjs";
import { must, npm, pack, run } from "./packages/running.mjs";
import { checkSingleFiles } from "./packages/single_files.mjs";
import { checkTypes, compilers } from "./packages/types.mjs";

const TOOLS = [
  ...["esbuild@0.28", "vite@8", "webpack@5", "publint@0.3", "@arethetypeswrong/cli@0.18"],
  "postject@1.0.0-alpha.6",
  ...Object.entries(compilers).map(([name, source]) => `${name}@${source}`),
];

/**
 * Bytes of the packed package at most. The binaries are in it twice, as files and within the code (0.25 MB): programs of
 * one file have them from there. The documents, which README refers to, take 0.1 MB, the page's scripts 0.2 MB.
 */
const LARGEST = 1_900_000;

const model = join(root, "models", "demo");
const { facts } = JSON.parse(readFileSync(join(model, "expected", "expected.json"), "utf8"));
const [fact] = facts;

const scratch = mkdtempSync(join(tmpdir(), "tramontane-packages-"));
const runtimes = Object.fromEntries(fetchRuntimes().map((runtime) => [runtime.name, runtime]));

// ---- running and counting --------------------------------------------------------------------------------------

let passed = 0;
let failed = 0;

/** Counts one test; `run` throws where it fails, and may return a remark, or a promise of one, which is to be awaited. */
function check(name, run) {
  const start = performance.now();
  const end = (state, remark) => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${state} ${name}  ${seconds} s${typeof remark === "string" ? `: ${remark}` : ""}`);
  };
  const pass = (remark) => {
    passed++;
    end("ok  ", remark);
  };
  const fail = (error) => {
    failed++;
    end("FAIL", error.message);
  };
  try {
    const returned = run();
    if (returned instanceof Promise) return returned.then(pass, fail);
    pass(returned);
  } catch (error) {
    fail(error);
  }
}

/** A fresh project that has only the package. @returns its folder */
function project(name, files, ...flags) {
  const folder = join(scratch, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
  npm(folder, "install", tarball, ...flags);
  return folder;
}

/** Runs a program of a project on the demo model, which must answer right. @returns what it told */
function answers(folder, command, { mapped } = {}) {
  const told = JSON.parse(run(folder, [...command, model]));
  must(told.text === fact.reference, `expected ${JSON.stringify(fact.reference)}, found ${JSON.stringify(told.text)}`);
  if (mapped !== undefined) must(told.mapped === mapped, `expected mapped ${mapped}, found ${JSON.stringify(told)}`);
  return told.mapped ? "mapped" : `read, ${told.reason}`;
}

// ---- the programs ----------------------------------------------------------------------------------------------

const main = `
  const path = process.argv.at(-1);
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  const model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2 });
  const messages = [{ role: "user", content: ${JSON.stringify(fact.ask)} }];
  const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
  let text = "";
  for await (const piece of model.stream({ ...inputs, max_new_tokens: 60, tokenizer })) text += piece;
  const { mapped, reason, device } = model.info();
  console.log(JSON.stringify({ text, mapped, reason, device }));
  await model.dispose();
`;
const names = "{ AutoModelForCausalLM, AutoTokenizer, configure }";
const esm = (specifier = "tramontane", before = "") =>
  `import process from "node:process";\nimport ${names} from "${specifier}";\n${before}${main}`;
const for_cjs = `import ${names} from "tramontane";\n(async () => {${main}})();\n`;
const commonjs = (load) => `const ${names} = ${load};\n(async () => {${main}})();\n`;

const webpackBuild = `
import webpack from ${JSON.stringify(join(scratch, "tools", "node_modules", "webpack", "lib", "index.js"))};
const config = {
  mode: "production", target: "node20", context: import.meta.dirname, entry: "./main.mjs",
  experiments: { outputModule: true },
  optimization: { minimize: false }, // which takes six times as long; esbuild minifies
  output: { path: import.meta.dirname + "/out", filename: "main.mjs", module: true },
};
webpack(config, (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString());
    process.exitCode = 1;
  }
});
`;

// ---- the package -----------------------------------------------------------------------------------------------

const packed = pack(root, scratch);
const tarball = join(scratch, packed.filename);

check("the package holds the compiled library, its types and binaries, the documents, and nothing else", () => {
  const expected =
    /^(package\.json|[A-Z]+\.md|LICENSE|docs\/[\w/-]+\.(md|svg|png)|examples\/[\w./-]+\.(md|js|ts|html|json)|dist\/src\/.*\.(c?js|d\.c?ts)|dist\/web\/[\w-]+\.js|dist\/wasm\/[a-z-]+\.(wasm|json))$/;
  const paths = packed.files.map(({ path }) => path);
  const others = paths.filter((path) => !expected.test(path));
  must(others.length === 0, `found ${others.join(", ")}`);
  for (const path of ["LICENSE", "dist/src/index.js", "dist/src/index.d.ts", "dist/src/cli/main.js"])
    must(paths.includes(path), `expected ${path}, found none`);
  return `${paths.length} files`;
});

check("the package is small", () => {
  must(packed.size <= LARGEST, `expected at most ${LARGEST} bytes, found ${packed.size}`);
  return `${packed.size} bytes, ${packed.unpackedSize} unpacked`;
});

check("what the package's documents link to is in it", () => {
  const paths = packed.files.map(({ path }) => path);
  const dead = paths
    .filter((path) => path.endsWith(".md"))
    .flatMap((path) => {
      const links = readFileSync(join(root, path), "utf8").matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g);
      return [...links].map(([, link]) => [path, posix.join(posix.dirname(path), link)]);
    })
    .filter(([, target]) => !paths.some((path) => path === target || path.startsWith(`${target.replace(/\/$/, "")}/`)));
  must(dead.length === 0, dead.map(([path, target]) => `${path} links to ${target}`).join(", "));
});

check("package.json and jsr.json name one version", () => {
  const [npm_version, jsr_version] = ["package.json", "jsr.json"].map(
    (name) => JSON.parse(readFileSync(join(root, name), "utf8")).version,
  );
  must(npm_version === jsr_version, `found ${npm_version} and ${jsr_version}`);
});

const tools = join(scratch, "tools");
mkdirSync(tools);
writeFileSync(join(tools, "package.json"), '{ "private": true }\n');
npm(tools, "install", ...TOOLS);
const newest = runtimes["node newest"].command ?? [process.execPath];
const tool = (...path) => [...newest, join(tools, "node_modules", ...path)];

check("publint finds nothing", () => {
  const said = run(scratch, [...tool("publint", "src", "cli.js"), tarball, "--strict"]);
  must(/All good/.test(said), said);
});

check("attw finds nothing", () => {
  run(scratch, [...tool("@arethetypeswrong", "cli", "dist", "index.js"), tarball, "--profile", "esm-only"]);
});

check("Deno would publish the sources to JSR", () => {
  const deno = runtimes.deno.command;
  if (!deno) return `not checked: ${runtimes.deno.skipped}`;
  run(root, [deno[0], "publish", "--dry-run", "--allow-dirty", "--quiet"]);
});

check("Deno runs the sources from a server, as it would from JSR", () => {
  const deno = runtimes.deno.command;
  if (!deno) return `not checked: ${runtimes.deno.skipped}`;
  const folder = join(scratch, "jsr");
  mkdirSync(folder);
  const server = spawn(process.execPath, [join(root, "scripts", "serve-sources.mjs"), folder], { stdio: "ignore" });
  try {
    const port = join(folder, "port");
    for (let i = 0; !existsSync(port); i++) {
      must(i < 100, "the server did not start");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const imports = Object.entries(dependencies).map(([name, range]) => [name, `npm:${name}@${range}`]);
    imports.push(["tramontane", `http://localhost:${readFileSync(port, "utf8")}/src/index.ts`]);
    writeFileSync(join(folder, "imports.json"), JSON.stringify({ imports: Object.fromEntries(imports) }));
    writeFileSync(join(folder, "main.mjs"), esm());
    return answers(folder, [...deno, "--reload=http://localhost", "--import-map=imports.json", "main.mjs"]);
  } finally {
    server.kill();
  }
});

// ---- the projects ----------------------------------------------------------------------------------------------

const plain = project("plain", {
  "main.mjs": esm(),
  "main.cjs": commonjs('require("tramontane")'),
  "npm.mjs": esm("npm:tramontane"),
});
const cli = join("node_modules", "tramontane", "dist", "src", "cli", "main.js");
const maps = ["linux", "darwin"].includes(process.platform);

const musl = fetchMusl();
for (const { name, version, command, skipped } of [...Object.values(runtimes), ...musl]) {
  if (!command) {
    console.log(`skip ${name}: ${skipped}`);
    continue;
  }
  check(`import in ${name} ${version}`, () => answers(plain, [...command, "main.mjs"], { mapped: maps }));
  if (name.startsWith("node"))
    check(`require in ${name} ${version}`, () => answers(plain, [...command, "main.cjs"], { mapped: maps }));
  if (name === "deno") check("import npm:tramontane in deno", () => answers(plain, [...command, "npm.mjs"]));
  check(`the command in ${name} ${version}`, () => {
    const said = run(plain, [...command, cli, "generate", fact.ask, "--chat", "--quiet", "-n", "60", "-m", model]);
    must(said === `${fact.reference}\n`, `found ${JSON.stringify(said)}`);
  });
}

check("npx tramontane", () => {
  const said = run(plain, [
    "npx",
    "--no-install",
    "tramontane",
    "generate",
    fact.ask,
    "--chat",
    "--quiet",
    "-m",
    model,
  ]);
  must(said === `${fact.reference}\n`, `found ${JSON.stringify(said)}`);
});

check("without koffi Node reads, and says so", () => {
  const bare = project("bare", { "main.mjs": esm() }, "--omit=optional");
  const remark = answers(bare, [process.execPath, "main.mjs"], { mapped: false });
  must(/koffi/.test(remark), `expected a reason that names koffi, found ${remark}`);
});

await check(
  "beside the package of native kernels they compute, and say so; without --allow-ffi Deno does without",
  async () => {
    if (!compilerFor()) return "not checked: there is no C++ compiler";
    const folder = project("native", { "main.mjs": esm() });
    npm(folder, "install", await packNative(scratch));
    const computes = (device, command) => {
      const told = JSON.parse(run(folder, [...command, "main.mjs", model]));
      must(told.text === fact.reference && told.device === device, `${command[0]}: found ${JSON.stringify(told)}`);
    };
    const some = ["node 20", "node newest", "deno", "bun"].map((name) => runtimes[name]);
    const there = [...some, ...musl].filter(({ command }) => command);
    for (const { command } of there) computes("native", command);
    if (runtimes.deno.command)
      computes("wasm", [runtimes.deno.command[0], "run", "--allow-read", "--allow-env", "--allow-sys"]);
    return there.map(({ name }) => name).join(", ");
  },
);

checkTypes({ check, run, must, project, tool, root });

// ---- the demo model's package ----------------------------------------------------------------------------------

const demo_tarball = await packDemo(scratch);
const first = project("first", {
  "facts.mjs": `
    import demo from "tramontane-demo";
    import { pipeline } from "tramontane";
    const generator = await pipeline("text-generation", demo);
    const facts = ${JSON.stringify(facts.map(({ ask, answers }) => ({ ask, answers })))};
    const wrong = [];
    for (const { ask, answers } of facts) {
      const [{ generated_text }] = await generator([{ role: "user", content: ask }], { max_new_tokens: 40 });
      const { content } = generated_text.at(-1);
      if (!answers.some((answer) => content.trim().startsWith(answer))) wrong.push([ask, content]);
    }
    console.log(JSON.stringify(wrong));
    await generator.dispose();
  `,
});
npm(first, "install", demo_tarball);
const npx = ["npx", "--no-install", "tramontane"];

check("the demo model's package holds the model and its path, and nothing else", () => {
  const said = run(scratch, ["tar", "-tzf", demo_tarball]).trim().split("\n").sort().join(" ");
  const names = ["LICENSE", "README.md", "demo-Q8_0.gguf", "index.d.ts", "index.js", "package.json"];
  must(said === names.map((name) => `package/${name}`).join(" "), `found ${said}`);
});

check("the demo model of the package answers every question", () => {
  const wrong = JSON.parse(run(first, [process.execPath, "facts.mjs"]));
  must(wrong.length === 0, JSON.stringify(wrong));
  return `${facts.length}`;
});

check("npx tramontane, told nothing, says what to do first", () => {
  must(/npm install tramontane-demo\n/.test(run(plain, npx)), "expected it to say how to get the demo model");
  must(/A small model is installed/.test(run(first, npx)), "expected it to say that the demo model is there");
});

check("README's first steps", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8").split("\n## ")[1];
  const [, command, answer] = /\$ (npx tramontane generate .*)\n(.*)\n/.exec(readme);
  const [, program] = /```javascript\n([\s\S]*?)```/.exec(readme);
  writeFileSync(join(first, "readme.mjs"), program);
  const words = command.match(/"[^"]*"|\S+/g).map((word) => word.replaceAll('"', ""));
  const there = ["node 20", "deno", "bun"].filter((name) => runtimes[name].command);
  const programs = there.map((name) => [...runtimes[name].command, "readme.mjs"]);
  for (const each of [[...words, "--quiet"], ...programs]) {
    const said = run(first, each);
    must(said === `${answer}\n`, `${each[0]}: found ${JSON.stringify(said)}`);
  }
  return there.join(", ");
});

for (const [name, cwd, command] of [
  ["as -m demo", first, [...npx, "generate", "-m", "demo"]],
  ["for a command that is installed elsewhere", first, [process.execPath, join(plain, cli), "generate"]],
])
  check(`the demo model, ${name}`, () => {
    const said = run(cwd, [...command, fact.ask, "--chat", "--quiet"]);
    must(said === `${fact.reference}\n`, `found ${JSON.stringify(said)}`);
  });

check("npx tramontane info, of the demo model", () => {
  const { parameters, fits } = JSON.parse(run(first, [...npx, "info", "--json"]));
  must(parameters === 11_222_272 && fits, `found ${parameters} parameters, fits: ${fits}`);
});

check("npx tramontane chat -m demo", () => {
  const said = run(first, [...npx, "chat", "-m", "demo"], `${fact.ask}\n`);
  must(said.includes(fact.reference), `found ${JSON.stringify(said)}`);
});

const { firstRun } = await import(pathToFileURL(join(root, "dist", "bench", "parts", "first_run.js")).href);
const first_run = await firstRun.run({ quick: true, log() {} }).catch((error) => error);
check("the bench of first runs", () => {
  if (first_run instanceof Error) throw first_run;
  must(first_run.tables[0].rows.length === 1, `found ${JSON.stringify(first_run.tables)}`);
});

// ---- bundles ---------------------------------------------------------------------------------------------------

const esbuild = (folder, ...args) =>
  run(folder, [
    join(tools, "node_modules", ".bin", "esbuild"),
    ...args,
    "--bundle",
    "--platform=node",
    "--log-level=warning",
  ]);

/** Puts a folder where no package is near. @returns where */
function moved(folder, name) {
  const target = join(scratch, "moved", name);
  cpSync(folder, target, { recursive: true });
  return target;
}

const node = (file) => [process.execPath, file];

check("esbuild, an ES module", () => {
  esbuild(plain, "main.mjs", "--format=esm", "--outfile=esbuild/main.mjs");
  return answers(plain, node("esbuild/main.mjs"), { mapped: maps });
});

check("esbuild, minified CommonJS", () => {
  writeFileSync(join(plain, "for-cjs.mjs"), for_cjs);
  esbuild(
    plain,
    "for-cjs.mjs",
    "--format=cjs",
    "--minify",
    "--external:koffi", // its loader cannot be part of a CommonJS bundle
    "--outfile=esbuild/main.cjs",
    "--log-override:empty-import-meta=silent",
  );
  return answers(plain, node("esbuild/main.cjs"), { mapped: maps });
});

check("esbuild, moved away from the package, with configure", () => {
  const before =
    'configure({ wasm_url: new URL("./wasm/", import.meta.url), worker_url: new URL("./worker.mjs", import.meta.url) });\n';
  writeFileSync(join(plain, "configured.mjs"), esm("tramontane", before));
  const out = join(plain, "configured");
  esbuild(plain, "configured.mjs", "--format=esm", "--outfile=configured/main.mjs");
  esbuild(plain, "tramontane/worker", "--format=esm", "--outfile=configured/worker.mjs");
  cpSync(join(plain, "node_modules", "tramontane", "dist", "wasm"), join(out, "wasm"), { recursive: true });
  return answers(moved(out, "esbuild"), node("main.mjs"));
});

checkSingleFiles({ check, run, must, answers, plain, esbuild, tools, runtimes, scratch }, { esm: esm(), for_cjs });

check("webpack, moved away from the package", () => {
  const folder = project("webpack", { "main.mjs": esm(), "build.mjs": webpackBuild });
  run(folder, [...newest, "build.mjs"]);
  const out = moved(join(folder, "out"), "webpack");
  rmSync(folder, { recursive: true });
  return answers(out, node("main.mjs"));
});

check("Vite, built for Node", () => {
  const config = 'export default { build: { ssr: "main.mjs", outDir: "vite" }, ssr: { noExternal: true } };\n';
  writeFileSync(join(plain, "vite.config.mjs"), config);
  run(plain, [...tool("vite", "bin", "vite.js"), "build", "--logLevel", "warn"]);
  return answers(plain, node("vite/main.js"), { mapped: maps });
});

await checkBrowsers({ check, run, must, project, tool, tools, newest, root, fact });

rmSync(scratch, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
