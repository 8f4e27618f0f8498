// Which test files run which lines: V8's own coverage of each test file, its threads and children, led back by the source
// maps. Kept in node_modules/.cache and made again for what changed.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** A source map's segments as [offset in the compiled text, line of the source], lines from 0. */
export function segmentsOf(compiled, mappings) {
  const starts = [0];
  for (let i = compiled.indexOf("\n"); i >= 0; i = compiled.indexOf("\n", i + 1)) starts.push(i + 1);
  const segments = [];
  let line = 0;
  for (const [row, text] of mappings.split(";").entries()) {
    let column = 0;
    for (const segment of text.split(",").filter(Boolean)) {
      const fields = [];
      for (let i = 0, value = 0, shift = 0; i < segment.length; i++) {
        const digit = DIGITS.indexOf(segment[i]);
        value |= (digit & 31) << shift;
        shift += 5;
        if (digit & 32) continue;
        fields.push(value & 1 ? -(value >> 1) : value >> 1);
        value = shift = 0;
      }
      column += fields[0];
      if (fields.length < 4) continue;
      line += fields[2];
      segments.push([starts[row] + column, line]);
    }
  }
  return segments;
}

/** The text's offsets that were run, by V8's nested ranges: the inner ones come behind the outer. */
function paint(length, functions) {
  const run = new Uint8Array(length);
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges) run.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return run;
}

/** The lines of each source that a folder of V8's files says were run: `{ "src/x.ts": "0110…" }`. */
function linesRun(tree, folder) {
  const lines = {};
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    let report;
    try {
      report = JSON.parse(readFileSync(join(folder, name), "utf8"));
    } catch {
      continue; // of a process that was ended while it wrote
    }
    for (const { url, functions } of report.result) {
      const path = url.startsWith("file://") ? relative(join(tree.path, "dist"), fileURLToPath(url)) : "";
      if (!path.startsWith("src/")) continue;
      const { compiled, segments, source } = tree.mapOf(path);
      const run = paint(compiled.length, functions);
      lines[source] ??= new Uint8Array(Math.max(...segments.map(([, line]) => line)) + 1);
      for (const [offset, line] of segments) if (run[offset]) lines[source][line] = 1;
    }
  }
  return Object.fromEntries(Object.entries(lines).map(([source, flags]) => [source, flags.join("")]));
}

const hash = (...texts) =>
  texts.reduce((sum, text) => sum.update(text).update("\0"), createHash("sha256")).digest("hex");

/** Every file below a folder, sorted. */
const below = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();

/** A test file with the files of tests/ that it imports, itself first. */
function closure(path, seen = new Set()) {
  if (seen.has(path) || !existsSync(path)) return seen;
  seen.add(path);
  for (const [, name] of readFileSync(path, "utf8").matchAll(/from "(\.[^"]+)"/g)) {
    const target = join(dirname(path), name);
    if (target.includes("/dist/tests/")) closure(target, seen);
  }
  return seen;
}

/** What a test file runs and how long it takes. */
class MappedTest {
  /** @param sources - the hashes of the sources now, which tell of which files the lines are still those of the map */
  constructor(entry, sources) {
    Object.assign(this, entry);
    this.now = sources;
  }

  /** Whether some source was changed since: then it may fail by itself by now. */
  get stale() {
    return Object.keys(this.now).some((source) => this.sources[source] !== this.now[source]);
  }

  /** Whether it runs a line, from 0; any of the file where `line` is absent, or where the file was changed since. */
  runs(source, line) {
    const lines = this.lines[source] ?? "";
    return line === undefined || this.sources[source] !== this.now[source] ? lines.includes("1") : lines[line] === "1";
  }
}

/**
 * What each test file runs, kept in node_modules/.cache/mutate. A test file that was changed is run again; after changes in
 * src/ alone what is kept still serves, file by file for what was changed (`fresh` has all of it made again). Files that fail
 * by themselves are told and left out.
 */
export async function mapTests(tree, fresh, tell) {
  const cache = join(tree.root, "node_modules", ".cache", "mutate");
  mkdirSync(cache, { recursive: true });
  const dist = join(tree.path, "dist");
  const sources = {};
  for (const path of below(join(dist, "src")).filter((name) => name.endsWith(".js")))
    sources[relative(dist, path).replace(/js$/, "ts")] = hash(readFileSync(path));
  const tests = below(join(dist, "tests")).filter((path) => path.endsWith(".test.js"));
  const map = [];
  for (const path of tests) {
    const test = relative(join(dist, "tests"), path);
    const key = hash(process.env.TRAMONTANE_FIXTURES ?? "", ...[...closure(path)].map((file) => readFileSync(file)));
    const kept = join(cache, `${test.replaceAll("/", "_")}.json`);
    let entry = existsSync(kept) && !fresh ? JSON.parse(readFileSync(kept, "utf8")) : {};
    if (entry.key !== key) {
      const folder = join(tree.folder, "coverage");
      rmSync(folder, { recursive: true, force: true });
      const { failure, seconds } = await tree.run(test, 900_000, { NODE_V8_COVERAGE: folder });
      entry = { key, test, failure, seconds, sources, lines: failure ? {} : linesRun(tree, folder) };
      if (!failure) writeFileSync(kept, JSON.stringify(entry));
      rmSync(folder, { recursive: true, force: true });
      tell(`# ${test}: ${seconds.toFixed(1)} s${failure ? `, fails without a fault, left out: ${failure}` : ""}`);
    }
    if (!entry.failure) map.push(new MappedTest(entry, sources));
  }
  return map;
}
