// npm run test:runtimes: the same bits and the same behaviour in Node 20, 22, 24 and newest, Deno and Bun.
//   1. every checkpoint's logits have one hash over all runtimes, kernel builds, numbers of threads and ways of loading:
//      that of tests/runtimes/hashes.json, where the full fixtures are at hand; and a seeded sampled answer is one text
//      (tests/runtimes/hashes.ts computes them);
//   2. the whole test suite passes in Deno, Bun and the newest Node (npm test runs it in the Node that is installed).
// Ends with one line `N passed, N failed`. `npm run test:runtimes -- hashes` or `-- suite` does one of the two.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fetchRuntimes, root } from "./fetch-runtimes.mjs";

/** Where the whole suite runs; the other versions of Node differ from these in nothing that the engine uses. */
const SUITE = ["node newest", "deno", "bun"];

let passed = 0;
let failed = 0;

function check(name, problem) {
  if (problem) failed++;
  else passed++;
  console.log(`${problem ? "FAIL" : "ok  "} ${name}${problem ? `: ${problem}` : ""}`);
}

/** Runs a command in the project's root. @returns its exit status and its output */
function run([command, ...args], { show = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, NO_COLOR: "1" } });
    let output = "";
    let errors = "";
    child.stdout.on("data", (part) => {
      output += part;
      if (show) process.stdout.write(part);
    });
    child.stderr.on("data", (part) => {
      errors += part;
    });
    child.on("error", (error) => resolve({ status: -1, output, errors: error.message }));
    child.on("close", (status) => resolve({ status, output, errors }));
  });
}

const seconds = (start) => `${((Date.now() - start) / 1000).toFixed(1)} s`;

async function hashes(runtimes) {
  /** By checkpoint, by hash: who found it. */
  const found = {};
  const answers = {};
  /** The copies of the fixtures hold smaller models of some formats. */
  let full = true;
  const note = (table, value, runtime, ways) => {
    table[value] ??= [];
    table[value].push(...ways.map((way) => `${runtime}, ${way}`));
  };
  const queue = [...runtimes];
  /** Computes in one runtime after the other, as the lane beside it does. */
  const lane = async () => {
    for (let runtime = queue.shift(); runtime; runtime = queue.shift()) await compute(runtime);
  };
  const compute = async ({ name, version, command }) => {
    const start = Date.now();
    const { status, output, errors } = await run([...command, join("dist", "tests", "runtimes", "hashes.js")]);
    const label = `${name} ${version} computes logits and answers`;
    if (status !== 0) {
      check(label, `exit status ${status}\n${errors}`);
      return;
    }
    const result = JSON.parse(output);
    full &&= result.fixtures === "../shared";
    for (const [checkpoint, by_hash] of Object.entries(result.hashes)) {
      found[checkpoint] ??= {};
      for (const [hash, ways] of Object.entries(by_hash)) note(found[checkpoint], hash, name, ways);
    }
    for (const [text, ways] of Object.entries(result.answers)) note(answers, text, name, ways);
    const unmapped = result.unmapped ? `, files only read: ${result.unmapped}` : "";
    check(label, name.startsWith(result.platform) ? "" : `ran as ${result.platform}`);
    console.log(`     ${seconds(start)}, fixtures from ${result.fixtures}${unmapped}`);
  };
  // Starting threads and waiting for them takes most of the time: two lanes are done sooner.
  await Promise.all([lane(), lane()]);
  const same = (name, table, recorded) => {
    const values = Object.entries(table);
    const ways = values.flatMap(([, each]) => each).length;
    const detail = values.map(([value, each]) => `\n     ${value}\n       ${each.join("\n       ")}`).join("");
    check(`${name}: ${ways} ways`, values.length === 1 ? "" : `expected one, found ${values.length}${detail}`);
    if (values.length === 1) console.log(`     ${values[0][0]}`);
    if (recorded)
      check(`${name}: the recorded one`, values.some(([value]) => value !== recorded) ? `expected ${recorded}` : "");
  };
  const recorded = full ? JSON.parse(readFileSync(join(root, "tests", "runtimes", "hashes.json"), "utf8")) : {};
  for (const [checkpoint, table] of Object.entries(found))
    same(`one hash for ${checkpoint}`, table, recorded[checkpoint]);
  same("one sampled answer", answers);
}

async function suite(runtimes) {
  for (const { name, version, command } of runtimes.filter((runtime) => SUITE.includes(runtime.name))) {
    const start = Date.now();
    console.log(`the test suite in ${name} ${version}`);
    const runner = [process.execPath, join("dist", "tests", "run.js"), "--runtime", command.join(" ")];
    const { output } = await run(runner, { show: true });
    const counts = /^(\d+) passed, (\d+) failed$/m.exec(output);
    if (!counts) check(`the test suite in ${name}`, "it ended without a count");
    else {
      passed += Number(counts[1]);
      failed += Number(counts[2]);
    }
    console.log(`     ${seconds(start)}`);
  }
}

const parts = { hashes, suite };
const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => !(part in parts));
if (unknown.length) {
  console.error(`unknown part ${unknown.join(", ")}: expected ${Object.keys(parts).join(" or ")}`);
  process.exit(2);
}

const runtimes = fetchRuntimes();
for (const { name, skipped } of runtimes) if (skipped) console.log(`skip ${name}: ${skipped}`);
for (const [name, part] of Object.entries(parts)) {
  if (wanted.length === 0 || wanted.includes(name)) await part(runtimes.filter((runtime) => runtime.command));
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
