// npm run test:examples: the projects of examples/, each in a fresh folder with the package as npm packs it, started as their
// first lines say, and asked what the demo model knows. The programs beside them are run by tests/readme.test.ts.
// Ends with one line `N passed, N failed`.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fetchRuntimes, root } from "./fetch-runtimes.mjs";
import { packDemo } from "./pack-demo.mjs";
import { must, npm, pack, run } from "./packages/running.mjs";

const { facts } = JSON.parse(readFileSync(join(root, "models", "demo", "expected", "expected.json"), "utf8"));
const [{ ask, reference }] = facts;
const scratch = mkdtempSync(join(tmpdir(), "tramontane-examples-"));
Object.assign(process.env, { NO_COLOR: "1", PORT: "0" }); // a port that is free, for servers
const shell = process.platform === "win32";

const tarball = join(scratch, pack(root, scratch).filename);
const demo = await packDemo(scratch);

/** A copy of an example with what it depends on. @returns its folder */
function project(name) {
  const folder = join(scratch, name);
  cpSync(join(root, "examples", name), folder, { recursive: true });
  npm(folder, "install", tarball, demo);
  return folder;
}

/** A program that answers and ends. */
const program =
  (command, ...args) =>
  (folder) => {
    const said = run(folder, [command, ...args, ask]);
    must(said === `${reference}\n`, `expected ${JSON.stringify(reference)}, found ${JSON.stringify(said)}`);
  };

/** The Worker's program; and an answer that is left, a whole one, and one that fails. */
const worker =
  (...command) =>
  (folder) => {
    program(...command, "main.js")(folder);
    const leaves = `
    import demo from "tramontane-demo";
    import { openModel } from "./model.js";
    const model = openModel(demo);
    const ask = ${JSON.stringify(ask)};
    for await (const text of model.ask(ask)) if (text) break;
    let answer = "";
    for await (const text of model.ask(ask)) answer += text;
    const failed = await model.ask({}).next().catch((error) => error.code);
    console.log(JSON.stringify([answer, failed]));
    await model.close();
  `;
    writeFileSync(join(folder, "leaves.mjs"), leaves);
    const said = run(folder, [...command, "leaves.mjs"]);
    must(said === `${JSON.stringify([reference, "TOKENIZER"])}\n`, `found ${said}`);
  };

/**
 * A server that answers at a path, to two clients at once, and goes on when a third one leaves.
 * @param page - also a page of HTML, where there is one
 */
const server =
  (path, page, command, ...args) =>
  async (folder) => {
    const child = spawn(command, args, { cwd: folder, shell, stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("close", resolve));
    try {
      const address = await listening(child, ended);
      const post = (signal) => fetch(new URL(path, address), { method: "POST", body: ask, signal });
      const gone = new AbortController();
      const [left, ...stay] = [post(gone.signal), post(), post()];
      (await left).body.cancel();
      gone.abort();
      for (const response of await Promise.all(stay)) {
        const text = await response.text();
        must(
          text === reference,
          `expected ${JSON.stringify(reference)}, found ${response.status} ${JSON.stringify(text)}`,
        );
      }
      if (page) {
        const html = await (await fetch(address)).text();
        must(/<form>/.test(html), `expected a page with a form, found ${html.slice(0, 200)}`);
      }
    } finally {
      child.kill();
      await ended;
    }
  };

/** The address that a server prints when it is ready. */
function listening(child, ended) {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (part) => {
      said += part;
      const address = /https?:\/\/\S+/.exec(said);
      if (address) resolve(address[0]);
    });
    ended.then((status) => reject(new Error(`ended with status ${status}, and printed ${JSON.stringify(said)}`)));
  });
}

/** Vite's other way: built, and served by the program that it has built. */
async function built(folder) {
  run(folder, ["npm", "run", "--silent", "build"]);
  await server("/answer", true, node, join("dist", "server", "server.js"))(folder);
}

const runtimes = Object.fromEntries(fetchRuntimes().map((runtime) => [runtime.name, runtime]));
const node = process.execPath;
const deno = runtimes.deno.command && [runtimes.deno.command[0], "run", "--allow-read", "--allow-ffi"];
const bun = runtimes.bun.command;
const examples = [
  ["node", "in Node", program(node, "main.js")],
  ["worker", "in Node", worker(node)],
  ["worker", "in Deno", deno ? worker(...deno) : runtimes.deno.skipped],
  ["worker", "in Bun", bun ? worker(...bun) : runtimes.bun.skipped],
  ["deno", "in Deno", deno ? program(...deno, "--check", "main.ts") : runtimes.deno.skipped],
  ["bun", "in Bun", bun ? server("/", false, ...bun, "server.ts") : runtimes.bun.skipped],
  ["express", "in Node", server("/answer", false, node, "server.js")],
  [
    "vite",
    "in development",
    server("/answer", true, node, join("node_modules", "vite", "bin", "vite.js"), "--port", "0"),
  ],
  ["vite", "built", built],
];

let passed = 0;
let failed = 0;
const folders = new Map();
for (const [name, where, test] of examples) {
  const label = `examples/${name} ${where}`;
  if (typeof test === "string") {
    console.log(`skip ${label}: ${test}`);
    continue;
  }
  try {
    if (!folders.has(name)) folders.set(name, project(name));
    await test(folders.get(name));
    passed++;
    console.log(`ok   ${label}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${label}: ${error.message}`);
  }
}
rmSync(scratch, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
