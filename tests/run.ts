// Runs every *.test.js beside it, each in a process of its own, and ends with one line `N passed, N failed`.
// Arguments select files by a part of their path: node dist/tests/run.js quant text
// --runtime COMMAND runs them in another runtime: node dist/tests/run.js --runtime "deno run -A" model
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fixturesFrom } from "./fixtures.ts";

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const at = wanted.indexOf("--runtime");
const [command, ...given] = at >= 0 ? wanted.splice(at, 2)[1].split(" ") : [process.execPath];

const files = readdirSync(here, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.js"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();

console.log(`${files.length} test files, fixtures from ${fixturesFrom}, ${[command, ...given].join(" ")}`);

let passed = 0;
let failed = 0;
for (const name of files) {
  const start = Date.now();
  const result = spawnSync(command, [...given, join(here, name)], {
    env: { ...process.env, NO_COLOR: "1" },
    encoding: "utf8",
    timeout: 600_000,
    maxBuffer: 1 << 28,
  });
  const output = `${result.stdout}${result.stderr}`;
  // uvu's closing lines; colours are off when the output is no terminal.
  const total = Number(/^\s*Total:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  const good = Number(/^\s*Passed:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  // Node says so where a descriptor was forgotten.
  const leaked = /Closing (a FileHandle|file descriptor \d+) .*on garbage collection/.test(output);
  const bad = Math.max(total - good, result.status !== 0 || total === 0 || leaked ? 1 : 0);
  passed += good;
  failed += bad;
  console.log(
    `${bad ? "FAIL" : "ok  "} ${relative(here, join(here, name))}  ${good}/${total}  ${((Date.now() - start) / 1000).toFixed(1)} s`,
  );
  // Notes: lines that begin with `# `, behind uvu's dots where there are some.
  for (const [, note] of output.matchAll(/^[•✘ ]*# (.*)$/gm)) console.log(`     ${note}`);
  if (bad) console.log(output + (result.error ? `\n${result.error.message}` : ""));
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
