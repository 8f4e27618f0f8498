// npm run test:web [PART…] [--browser chromium|firefox] [--limit SECONDS]: the tests that need a browser, those of tests/web whose names have a
// part in them, and one line `N passed, N failed` at the end.
//   NAME.worker.ts  a uvu suite that runs inside a module worker of a page
//   NAME.window.ts  one that runs in the page itself
//   NAME.test.ts    a uvu program in Node, which may drive a page by Playwright (tests/web/browser.ts, server.ts)
// npm test runs none of them. Suites are bundled, and see the package as it is built: /web/engine.js,
// /wasm/; files of tests/fixtures.ts at /fixture/NAME, their names at /list/NAME; the demo model at /models/demo/; what Node computes at /expected.json. They run in
// Chromium and in Firefox, cross-origin isolated and not, but where a line of theirs says less: `// runs in: chromium isolated`.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { buildSuites } from "./bundle-web.mjs";

const root = join(import.meta.dirname, "..");
const tests = join(root, "dist", "tests", "web");
const { findBrowser, launchChromium, openFirefox } = await import(join(tests, "browser.js"));
const { startServer } = await import(join(tests, "server.js"));

const { values: options, positionals: wanted } = parseArgs({
  options: {
    browser: { type: "string", multiple: true, default: ["chromium", "firefox"] },
    limit: { type: "string", default: "300" },
  },
  allowPositionals: true,
});
const LIMIT_MS = 1000 * Number(options.limit);

let passed = 0;
let failed = 0;

/** Counts uvu's closing lines. @param problem - why it did not come to its end */
function count(name, output, start, problem) {
  const sum = (word) =>
    [...output.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, "gm"))].reduce((n, m) => n + +m[1], 0);
  const [total, good] = [sum("Total"), sum("Passed")];
  const bad = Math.max(total - good, problem || total === 0 ? 1 : 0);
  passed += good;
  failed += bad;
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`${bad ? "FAIL" : "ok  "} ${name}  ${good}/${total}  ${seconds} s${problem ? `: ${problem}` : ""}`);
  for (const [, note] of output.matchAll(/^[•✘ ]*# (.*)$/gm)) console.log(`     ${note}`);
  if (bad) console.log(output);
}

/** The body of a request. */
const bodyOf = (request) =>
  new Promise((resolve) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part) => (text += part));
    request.on("end", () => resolve(text));
  });

/** Runs one suite in one browser. @param open - opens a page: gives what closes it */
async function runSuite(name, way, isolated, open) {
  const start = Date.now();
  let output = "";
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const server = await startServer({
    isolated,
    pages: { "/suite": '<!doctype html><title>suite</title><script type="module" src="/web/suite_page.js"></script>' },
    async route(request, response, path) {
      if (path !== "/report") return false;
      const { text, done } = JSON.parse(await bodyOf(request));
      // uvu prints in colours where it knows of no terminal.
      const plain = text === undefined ? undefined : stripVTControlCharacters(text);
      if (plain !== undefined) output += /^[\n•✘]/.test(plain) ? plain : `${plain}\n`;
      if (done) finish();
      response.end();
      return true;
    },
  });
  const timer = setTimeout(() => finish(`it took more than ${LIMIT_MS / 1000} s`), LIMIT_MS);
  let problem;
  try {
    const close = await open(`${server.url}/suite?suite=${name}`, finish);
    problem = await finished;
    await close();
  } catch (error) {
    problem = error.message;
  } finally {
    clearTimeout(timer);
    await server.close();
  }
  count(`${name.replace(/\.js$/, "")}, ${way}`, output, start, problem);
}

/** Whether a suite is for a way: its line says so, or says nothing of browsers, or of isolation. */
function runsIn(name, browser, isolated) {
  const words = /^\/\/ runs in: (.*)$/m.exec(readFileSync(join(tests, name), "utf8"))?.[1].split(" ") ?? [];
  const allowed = (all, one) => !words.some((word) => all.includes(word)) || words.includes(one);
  return allowed(["chromium", "firefox"], browser) && allowed(["isolated", "open"], isolated ? "isolated" : "open");
}

async function runSuites(names, browser, open) {
  for (const name of names)
    for (const isolated of [true, false])
      if (runsIn(name, browser, isolated))
        await runSuite(name, `${browser}, ${isolated ? "isolated" : "not isolated"}`, isolated, open);
}

async function inChromium(names) {
  if (names.length === 0) return;
  const chromium = await launchChromium();
  console.log(`Chromium ${chromium.version()}`);
  await runSuites(names, "chromium", async (url, finish) => {
    const context = await chromium.newContext();
    const page = await context.newPage();
    page.on("crash", () => finish("the page crashed"));
    page.on("pageerror", (error) => finish(`the page: ${error.message}`));
    await page.goto(url);
    return () => context.close();
  });
  await chromium.close();
}

/** Runs a program that drives pages itself. */
function runProgram(name) {
  const start = Date.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(tests, name)], {
      env: { ...process.env, NO_COLOR: "1" },
      timeout: LIMIT_MS,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("close", (status, signal) => {
      count(
        name.replace(/\.js$/, ""),
        output,
        start,
        status ? `exit status ${status}` : signal && `ended by ${signal}`,
      );
      resolve();
    });
  });
}

const isWanted = (name) => wanted.length === 0 || wanted.some((part) => name.includes(part));

try {
  for (const name of options.browser) findBrowser(name);
  const suites = (await buildSuites(join(root, "dist"))).filter(isWanted);
  if (options.browser.includes("chromium")) {
    await inChromium(suites);
    const programs = readdirSync(tests).filter((name) => name.endsWith(".test.js") && isWanted(name));
    for (const name of programs) await runProgram(name);
  }
  if (options.browser.includes("firefox")) await runSuites(suites, "firefox", async (url) => openFirefox(url));
  if (passed + failed === 0) throw new Error(`${wanted.join(", ")}: no test of tests/web has this in its name`);
} catch (error) {
  failed++;
  console.log(`FAIL ${error.message}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
