// A copy of the project in a temporary folder, where faults are made: its own dist/, everything else by link.
import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { segmentsOf } from "./coverage.mjs";

const LOADER = ["--noCheck", "--noResolve", "--types", "", "--sourceMap"];
const SETTINGS =
  "--ignoreConfig --target es2022 --module esnext --moduleResolution bundler --rewriteRelativeImportExtensions --verbatimModuleSyntax";

export class Tree {
  /** Compiled with source maps, which lead from what V8 says was run to the lines of the source. */
  constructor(root) {
    this.root = root;
    this.folder = mkdtempSync(join(tmpdir(), "tramontane-mutate-"));
    this.path = join(this.folder, "project");
    this.maps = new Map();
    mkdirSync(this.path);
    for (const name of readdirSync(root))
      if (!["dist", "wasm", ".git"].includes(name)) symlinkSync(join(root, name), join(this.path, name));
    const shared = join(root, "..", "shared");
    if (existsSync(shared)) symlinkSync(shared, join(this.folder, "shared"));
    this.tsc = join(root, "node_modules", ".bin", "tsc");
    const args = ["-p", join(root, "tsconfig.json"), "--outDir", join(this.path, "dist"), "--sourceMap", "--noCheck"];
    const result = spawnSync(this.tsc, args, { stdio: ["ignore", 2, 2] });
    if (result.status !== 0) throw new Error(`tsc: exit status ${result.status}`);
    for (const place of ["wasm", join("dist", "wasm")])
      cpSync(join(root, "wasm"), join(this.path, place), { recursive: true });
    writeFileSync(join(this.path, "dist", ".built"), "");
    this.check("src/errors.ts");
  }

  /** Puts the fault `{ file, source }` in place; returns what takes it out again, or null where it does not compile. */
  place(file, source) {
    const scratch = mkdtempSync(join(this.folder, "mutant-"));
    try {
      return file.startsWith("assembly/")
        ? this.placeAssembly(scratch, file, source)
        : this.placeSource(scratch, file, source);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  placeSource(scratch, file, source) {
    mkdirSync(join(scratch, dirname(file)), { recursive: true });
    writeFileSync(join(scratch, file), source);
    const out = join(scratch, "out");
    // Its imports are not there, which tsc tells and emits all the same.
    spawnSync(this.tsc, [
      ...SETTINGS.split(" "),
      ...LOADER,
      "--rootDir",
      scratch,
      "--outDir",
      out,
      join(scratch, file),
    ]);
    const compiled = file.replace(/ts$/, "js");
    if (!existsSync(join(out, compiled))) return null;
    const target = join(this.path, "dist", compiled);
    return this.swap(join(out, compiled), target);
  }

  placeAssembly(scratch, file, source) {
    cpSync(join(this.root, "assembly"), join(scratch, "assembly"), { recursive: true });
    cpSync(join(this.root, "asconfig.json"), join(scratch, "asconfig.json"));
    writeFileSync(join(scratch, file), source);
    const out = join(scratch, "logits.wasm");
    const asc = join(this.root, "node_modules", ".bin", "asc");
    const args = ["assembly/index.ts", "--config", "asconfig.json", "--outFile", out];
    if (spawnSync(asc, args, { cwd: scratch, stdio: "ignore" }).status !== 0) return null;
    const restores = ["wasm", join("dist", "wasm")].map((place) =>
      this.swap(out, join(this.path, place, "logits.wasm")),
    );
    return () => {
      for (const restore of restores) restore();
    };
  }

  /** The compiled text of `src/x.js`, where its parts come from, and the source's name. */
  mapOf(name) {
    let entry = this.maps.get(name);
    if (!entry) {
      const path = join(this.path, "dist", name);
      const compiled = readFileSync(path, "utf8");
      const segments = segmentsOf(compiled, JSON.parse(readFileSync(`${path}.map`, "utf8")).mappings);
      entry = { compiled, segments, source: name.replace(/js$/, "ts") };
      this.maps.set(name, entry);
    }
    return entry;
  }

  /** A file compiled alone must be what it is compiled with all others: else every fault would be "caught". */
  check(file) {
    const target = join(this.path, "dist", file.replace(/ts$/, "js"));
    const before = readFileSync(target, "utf8");
    const restore = this.place(file, readFileSync(join(this.root, file), "utf8"));
    const alone = readFileSync(target, "utf8");
    restore();
    if (alone !== before) throw new Error(`${file}: compiled alone it is not what the project has`);
  }

  /** The mutant's file over the good one. */
  swap(from, target) {
    const good = readFileSync(target);
    cpSync(from, target);
    return () => writeFileSync(target, good);
  }

  /**
   * Runs one test file, as tests/run.ts does. Ends it with its children after `limit` milliseconds.
   * @returns what failed in a few words, null when all passed, and the seconds taken
   */
  run(test, limit, env = {}) {
    const begin = Date.now();
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [join(this.path, "dist", "tests", test)], {
        cwd: this.path,
        env: { ...process.env, NO_COLOR: "1", ...env },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      });
      let output = "";
      let late = false;
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8");
        stream.on("data", (text) => {
          output = (output + text).slice(-1 << 20);
        });
      }
      const timer = setTimeout(() => {
        late = true;
        endGroup(child.pid);
      }, limit);
      child.on("close", (status) => {
        clearTimeout(timer);
        endGroup(child.pid); // what a failed test may have left running
        resolve({ failure: late ? "no end" : failureIn(output, status), seconds: (Date.now() - begin) / 1000, output });
      });
    });
  }

  dispose() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function endGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {} // nothing left
}

/**
 * What failed, in a few words; null where all passed. A bound on time says little on a busy machine: where that alone has
 * failed, it begins with "slow".
 */
function failureIn(output, status) {
  const count = (what) => Number(new RegExp(`^\\s*${what}:\\s+(\\d+)`, "m").exec(output)?.[1] ?? 0);
  const total = count("Total");
  const leaks = /Closing (a FileHandle|file descriptor \d+) .*on garbage collection/.exec(output);
  if (status === 0 && total > 0 && count("Passed") === total) return leaks?.[0] ?? null;
  const failed = [...output.matchAll(/^\s*FAIL\s+(.*)\n\s*(.*)$/gm)];
  if (failed.length === 0)
    return /^\w*Error.*|^.* is not .*|Exiting early.*/m.exec(output)?.[0] ?? `exit status ${status}`;
  const real = failed.find(([, , message]) => !/\d ms\b|\btook\b|slowest/.test(message));
  const [, name] = real ?? failed[0];
  return `${real ? "" : "slow: "}${name.replace(/^"|"$/g, "").trim()}`;
}
