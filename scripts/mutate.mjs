// npm run mutate -- [--seed S] [--count N] [--from K] [--only PATH] [--jobs J] [--budget SECONDS] [--fresh] [--list]
// Makes faults in src/ and assembly/, one at a time, and tells which of them no test sees. The faults are drawn by the seed
// from all sites that mutate/operators.mjs finds, one for a site; those that do not compile, and those that
// tests/mutants.json knows to change nothing, are passed over. Each meets the test files that run its line, by V8's
// coverage, the nearest and quickest first, until one fails or `budget` seconds of them have passed. The working tree is
// left alone: all happens in a copy (mutate/tree.mjs).
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { API } from "typescript/unstable/sync";
import { mapTests } from "./mutate/coverage.mjs";
import { sitesOf } from "./mutate/operators.mjs";
import { Tree } from "./mutate/tree.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "300" },
    from: { type: "string", default: "0" },
    only: { type: "string", default: "" },
    jobs: { type: "string", default: "1" },
    budget: { type: "string", default: "120" },
    fresh: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const [seed, count, from, jobs, budget] = [values.seed, values.count, values.from, values.jobs, values.budget].map(
  Number,
);

/** Files whose tests are about time: on a busy machine they may fail by themselves, so they come last and must fail twice. */
const TIMED = /^(faults\/(cancel|environment)|bench)/;
/** What the threads and the host run of `assembly/` is told by the file that loads it. */
const ASSEMBLY_USER = "src/generation/logits_module.ts";

/** mulberry32: 32 random bits from a counter. */
function random(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** What only native kernels, other runtimes and browsers run: tests where native/ is built, npm run test:runtimes, test:web. */
const ELSEWHERE =
  /^src\/(offload\/(library|native)\.ts|platform\/(deno|bun|browser\w*)\.ts|web\/(chat\/|(engine|persistence|tools)\.ts))/;

const sources = ["src", "assembly"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((n) => `${folder}/${n}`),
  )
  .filter((name) => name.endsWith(".ts") && name.includes(values.only) && !ELSEWHERE.test(name))
  .sort();

/** Operators that change a literal. */
const LITERAL = /^(empty|true|false)/;

// ---- the faults --------------------------------------------------------------------------------------------------

/** The compiler as a service: its syntax trees, and whether a text put in a file's place still has the right types. */
class Compiler {
  overlay = new Map();
  api = new API({ cwd: root, fs: { readFile: (path) => this.overlay.get(path) } });
  snapshot = this.api.updateSnapshot({
    openProjects: [join(root, "tsconfig.json")],
    openFiles: sources.filter((name) => name.startsWith("assembly/")).map((name) => join(root, name)),
  });

  program(path) {
    return this.snapshot.getDefaultProjectForFile(path).program;
  }

  parse(name) {
    const path = join(root, name);
    return this.program(path).getSourceFile(path);
  }

  compiles({ file, source, operator }) {
    const path = join(root, file);
    if (file.startsWith("assembly/")) return true; // asc says so when it is built
    this.overlay.set(path, source);
    this.snapshot = this.api.updateSnapshot({ fileChanges: { changed: [path] } });
    const program = this.program(path);
    let good = !program.getSyntacticDiagnostics(path).length && !program.getSemanticDiagnostics(path).length;
    // A literal may be a type that other files know; nothing else of a fault is seen by them.
    if (good && LITERAL.test(operator)) good = program.getSemanticDiagnostics().length === 0;
    this.overlay.delete(path);
    this.snapshot = this.api.updateSnapshot({ fileChanges: { changed: [path] } });
    return good;
  }
}

const compiler = new Compiler();
const known = JSON.parse(readFileSync(join(root, "tests", "mutants.json"), "utf8")).equivalent;

function* mutants() {
  const pick = random(seed);
  const sites = [];
  for (const file of sources) {
    const parsed = compiler.parse(file);
    for (const site of sitesOf(parsed)) sites.push({ file, source: parsed.text, ...site });
  }
  console.log(`# ${sites.length} sites in ${sources.length} files`);
  for (let i = sites.length - 1; i > 0; i--) {
    const j = pick(i + 1);
    [sites[i], sites[j]] = [sites[j], sites[i]];
  }
  for (const { file, source, options } of sites) {
    const { operator, start, end, text } = options[pick(options.length)];
    const row = source.slice(0, start).split("\n").length - 1;
    const line = source.split("\n")[row].trim();
    const before = source.slice(start, end);
    yield { file, row, line, operator, before, after: text, source: source.slice(0, start) + text + source.slice(end) };
  }
}

const isKnown = (mutant) =>
  known.some(
    (entry) =>
      entry.file === mutant.file &&
      entry.line === mutant.line &&
      entry.before === mutant.before &&
      entry.after === mutant.after,
  );

const passedOver = { "do not compile": 0, "change nothing": 0 };
const chosen = [];
for (const mutant of mutants()) {
  if (chosen.length === from + count) break;
  if (isKnown(mutant)) passedOver["change nothing"]++;
  else if (!compiler.compiles(mutant)) passedOver["do not compile"]++;
  else chosen.push(mutant);
}
compiler.api.close();
const wanted = chosen.slice(from);
const short = (text) => (text.length > 60 ? `${text.slice(0, 57)}…` : text).replace(/\s+/g, " ");
const name = (m) => `${m.file}:${m.row + 1}  ${short(m.before)} → ${short(m.after)}`;
if (values.list) {
  for (const [i, mutant] of wanted.entries()) console.log(`${from + i}  ${name(mutant)}`);
  process.exit();
}

// ---- the tests ---------------------------------------------------------------------------------------------------

const trees = [];
for (let i = 0; i < jobs; i++) trees.push(new Tree(root));
const map = await mapTests(trees[0], values.fresh, console.log);

/** (folder, test file) how many faults it has caught there so far. */
const catches = {};

/** The test files that run a mutant's line: those of its folder first, then by what they cost and what they have caught. */
function neighbours({ file, row }) {
  const [source, line] = file.startsWith("assembly/") ? [ASSEMBLY_USER] : [file, row];
  const folder = dirname(file).replace(/^src\/?/, "");
  const stem = file.slice(file.lastIndexOf("/") + 1, -3);
  // The tests of src/text/jinja are in tests/text.
  const [part] = folder.split("/");
  const nearness = (test) =>
    test.includes(`/${stem}.`) || test.startsWith(`${stem}.`) ? 1 : test.startsWith(`${part}/`) ? 2 : 5;
  const rank = ({ test, seconds }) =>
    ((seconds + 0.5) * nearness(test) * (TIMED.test(test) ? 1000 : 1)) / (1 + (catches[folder]?.[test] ?? 0));
  return map
    .filter((each) => each.runs(source, line) && alone.get(each.test) !== false)
    .sort((a, b) => rank(a) - rank(b));
}

/** (test file) whether it passes without a fault, for those mapped before the sources were changed. */
const alone = new Map();

/** @param restore - takes the fault out */
async function passesAlone(tree, test, restore) {
  const entry = map.find((each) => each.test === test);
  if (!entry.stale) return true;
  if (!alone.has(test)) {
    restore();
    const { failure } = await tree.run(test, 3000 * entry.seconds + 60_000);
    alone.set(test, failure === null);
    if (failure) console.log(`# ${test} fails without a fault, left out: ${failure}`);
  }
  return alone.get(test);
}

async function meet(tree, mutant) {
  const tests = neighbours(mutant);
  if (!tests.length) return { caught: false, why: "no test runs this line" };
  const restore = tree.place(mutant.file, mutant.source);
  if (!restore) return null;
  let spent = 0;
  let met = 0;
  try {
    for (const { test, seconds } of tests) {
      if (met && spent + seconds > budget) continue;
      met++;
      spent += seconds;
      const limit = 3000 * seconds + 20_000;
      let { failure } = await tree.run(test, limit);
      if (failure && TIMED.test(test)) failure = (await tree.run(test, limit)).failure;
      if (!failure || failure.startsWith("slow")) continue;
      if (!(await passesAlone(tree, test, restore))) {
        tree.place(mutant.file, mutant.source);
        continue;
      }
      const folder = dirname(mutant.file).replace(/^src\/?/, "");
      catches[folder] ??= {};
      catches[folder][test] = (catches[folder][test] ?? 0) + 1;
      return { caught: true, why: `${test.replace(".test.js", "")}: ${failure}` };
    }
  } finally {
    restore();
  }
  return { caught: false, why: `${met} of ${tests.length} test files that run it passed` };
}

const results = [];
let next = 0;
await Promise.all(
  trees.map(async (tree) => {
    while (next < wanted.length) {
      const i = next++;
      const mutant = wanted[i];
      const begin = Date.now();
      const result = await meet(tree, mutant);
      if (!result) {
        passedOver["do not compile"]++;
        continue;
      }
      results.push({ i: from + i, mutant, ...result });
      const seconds = ((Date.now() - begin) / 1000).toFixed(0);
      console.log(
        `${String(from + i).padStart(4)} ${result.caught ? "caught  " : "SURVIVED"} ${name(mutant)}  [${result.why}] ${seconds} s`,
      );
    }
  }),
);
for (const tree of trees) tree.dispose();

const survivors = results.filter((result) => !result.caught).sort((a, b) => a.i - b.i);
console.log(`\nseed ${seed}, faults ${from} to ${from + count - 1}, budget ${budget} s, Node ${process.version}`);
for (const [what, n] of Object.entries(passedOver)) console.log(`passed over, since they ${what}: ${n}`);
console.log("| | fault | line | tests |\n|---|---|---|---|");
for (const { i, mutant, why } of survivors)
  console.log(`| ${i} | \`${name(mutant)}\` (${mutant.operator}) | \`${mutant.line}\` | ${why} |`);
const caught = results.length - survivors.length;
console.log(
  `${caught} of ${results.length} caught, ${((100 * caught) / results.length).toFixed(1)} %; ${survivors.length} survived`,
);
