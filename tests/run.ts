// Runs every *.test.js beside it, each in a process of its own, and ends with one line `N passed, N failed`.
// Arguments select files by a part of their path: node dist/tests/run.js quant text
// --runtime COMMAND runs them in another runtime: node dist/tests/run.js --runtime "deno run -A" model
// --jobs N runs N at a time instead of as many as there are cores, two at least: most of a test is one thread, and waiting.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fixturesFrom } from "./fixtures.ts";

const LIMIT_MS = 600_000;
/** They start Node, whatever runtime they run in, or ask llama.cpp of files: there is nothing to learn from others. */
const NODE_ALONE = ["bench.test.js", "quantize/llama_cpp.test.js"];
const here = dirname(fileURLToPath(import.meta.url));
const { values: options, positionals: wanted } = parseArgs({
  options: {
    runtime: { type: "string" },
    jobs: { type: "string", default: String(Math.max(2, availableParallelism())) },
  },
  allowPositionals: true,
});
const [command, ...given] = options.runtime?.split(" ") ?? [process.execPath];

const files = readdirSync(here, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.js"))
  .filter((name) => !(options.runtime && NODE_ALONE.includes(name)))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  // They need browsers: npm run test:web. By their names they run here.
  .filter((name) => !/^web[\\/]/.test(name) || wanted.some((part) => part.startsWith("web")))
  .sort();

console.log(`${files.length} test files, fixtures from ${fixturesFrom}, ${[command, ...given].join(" ")}`);

/** Runs one file. @returns its exit status, null where a signal ended it, and all that it printed */
function run(name: string): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, [...given, join(here, name)], {
      env: { ...process.env, NO_COLOR: "1" },
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [output, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (part) => {
      output += part;
    });
    child.stderr.setEncoding("utf8").on("data", (part) => {
      errors += part;
    });
    child.on("error", (error) => resolve({ status: null, output: error.message }));
    child.on("close", (status, signal) =>
      resolve({ status, output: `${output}${errors}${signal ? `\nended by ${signal}` : ""}` }),
    );
  });
}

let passed = 0;
let failed = 0;

async function check(name: string): Promise<void> {
  const start = Date.now();
  const { status, output } = await run(name);
  // uvu's closing lines; colours are off when the output is no terminal.
  const total = Number(/^\s*Total:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  const good = Number(/^\s*Passed:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  // Node says so where a descriptor was forgotten.
  const leaked = /Closing (a FileHandle|file descriptor \d+) .*on garbage collection/.test(output);
  const bad = Math.max(total - good, status !== 0 || total === 0 || leaked ? 1 : 0);
  passed += good;
  failed += bad;
  console.log(`${bad ? "FAIL" : "ok  "} ${name}  ${good}/${total}  ${((Date.now() - start) / 1000).toFixed(1)} s`);
  // Notes: lines that begin with `# `, behind uvu's dots where there are some.
  for (const [, note] of output.matchAll(/^[•✘ ]*# (.*)$/gm)) console.log(`     ${note}`);
  if (bad) console.log(output);
}

async function lane(): Promise<void> {
  for (let name = files.shift(); name; name = files.shift()) await check(name);
}
await Promise.all(Array.from({ length: Number(options.jobs) }, lane));

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
