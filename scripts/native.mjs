// npm run build:native: cpp/ for this machine's own vector units → native/<system>-<arch>.so, by the C++ compiler that CXX
// names, else Clang or GCC. Once for each level of vector units (cpp/native/library.cpp chooses when it is loaded).
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { hashSources } from "./sources.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const FLAGS = [
  ...["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"],
  // The same bits as WebAssembly: integers wrap, and each operation on floats is rounded by itself.
  ...["-fwrapv", "-ffp-contract=off"],
  ...["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function"],
  ...["-DTRAMONTANE_RELAXED=1", "-Icpp/native"],
];

/** The levels of each architecture, and what the compiler may use of it. */
const LEVELS = {
  x64: {
    sse41: ["-msse4.1"],
    avx2: ["-mavx2", "-mf16c", "-mfma", "-mtune=haswell"],
    avx512_vnni: [
      ...["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mf16c", "-mfma"],
      "-mtune=icelake-server",
    ],
  },
  arm64: { neon: ["-march=armv8.2-a+dotprod"] },
};

/** The last of what a processor must have for a level, as Linux names it. */
const NEEDED = { sse41: "sse4_1", avx2: "avx2", avx512_vnni: "avx512_vnni", neon: "asimddp" };

/** What the library and the package that calls it must have been made from: src/offload/sources.ts has it, too. */
export function nativeSources() {
  const extensions = [".cpp", ".h", ".def"];
  return `0x${hashSources(["cpp", extensions], ["cpp/native", extensions]).slice(0, 8)}`;
}

/** Writes that hash where the package looks for it. */
export function writeNativeSources() {
  const path = join(root, "src", "offload", "sources.ts");
  const before = readFileSync(path, "utf8");
  const after = before.replace(/0x[0-9a-f]{8}/, nativeSources());
  if (after !== before) writeFileSync(path, after);
}

const candidates = process.env.CXX ? [process.env.CXX] : ["clang++", "clang++-19", "g++"];

/** The compiler to use, if there is one. */
export const compilerFor = () =>
  candidates.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);

/** Calls `work` with what runs the compiler, each level's name and flags, and a folder for what it leaves. */
function withCompiler(work) {
  const cxx = compilerFor();
  if (!cxx) throw new Error(`native kernels need a C++ compiler, tried ${candidates.join(", ")}`);
  const levels = Object.entries(LEVELS[process.arch] ?? {});
  if (levels.length === 0) throw new Error(`there are no native kernels for ${process.arch}`);
  const scratch = mkdtempSync(join(tmpdir(), "tramontane-native-"));
  try {
    return work((args) => run(cxx, args), levels, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? signal ?? `exit status ${status}`}`);
}

/** @returns the library's path */
export const buildNative = (out = join(root, "native", `${process.platform}-${process.arch}.so`)) =>
  withCompiler((compile, levels, scratch) => {
    const object = (name) => join(scratch, `${name}.o`);
    for (const [level, own] of levels)
      compile([...FLAGS, ...own, `-DLEVEL=${level}`, "-c", "cpp/native/level.cpp", "-o", object(level)]);
    compile([...FLAGS, `-DSOURCES=${nativeSources()}u`, "-c", "cpp/native/library.cpp", "-o", object("library")]);
    mkdirSync(dirname(out), { recursive: true });
    compile(["-shared", ...levels.map(([level]) => object(level)), object("library"), "-o", out]);
    return out;
  });

/** Runs the kernels of every level that this processor has under sanitizers. */
const sanitize = () =>
  withCompiler((compile, levels, scratch) => {
    const flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    const features = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "utf8") : "";
    for (const [level, own] of levels) {
      if (!features.includes(NEEDED[level])) continue;
      const program = join(scratch, level);
      compile([...FLAGS, ...own, ...flags, `-DLEVEL=${level}`, "cpp/native/sanitize.cpp", "-o", program]);
      run(program, []);
    }
  });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv[2] === "sanitize") sanitize();
    else {
      writeNativeSources();
      console.error(buildNative());
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
