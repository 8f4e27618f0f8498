// npm run build:native: cpp/ for this machine's own vector units → native/<system>-<arch>.so, by the C++ compiler that CXX
// names, else Clang or GCC. Once for each level of vector units (cpp/native/library.cpp chooses when it is loaded).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

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
  const hash = createHash("sha256");
  for (const folder of ["cpp", "cpp/native"]) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (!/\.(cpp|h|def)$/.test(name)) continue;
      hash.update(`${folder}/${name}\0`).update(readFileSync(join(root, folder, name)));
    }
  }
  return `0x${hash.digest("hex").slice(0, 8)}`;
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

/** @param flags - further ones, for tests @returns the library's path */
export function buildNative(out = join(root, "native", `${process.platform}-${process.arch}.so`), flags = []) {
  const cxx = compilerFor();
  if (!cxx) throw new Error(`building native kernels needs a C++ compiler, tried ${candidates.join(", ")}`);
  const run = (args) => {
    const { status, error } = spawnSync(cxx, args, { cwd: root, stdio: ["ignore", 2, 2] });
    if (status !== 0) throw new Error(`${cxx} ${args.join(" ")}: ${error?.message ?? `exit status ${status}`}`);
  };
  const scratch = mkdtempSync(join(tmpdir(), "tramontane-native-"));
  try {
    const object = (name) => join(scratch, `${name}.o`);
    const common = [...FLAGS, ...flags];
    const levels = Object.entries(LEVELS[process.arch] ?? {});
    if (levels.length === 0) throw new Error(`there are no native kernels for ${process.arch}`);
    for (const [level, own] of levels)
      run([...common, ...own, `-DLEVEL=${level}`, "-c", "cpp/native/level.cpp", "-o", object(level)]);
    run([...common, `-DSOURCES=${nativeSources()}u`, "-c", "cpp/native/library.cpp", "-o", object("library")]);
    mkdirSync(dirname(out), { recursive: true });
    const objects = [...levels.map(([level]) => level), "library"].map(object);
    run(["-shared", ...flags, ...objects, "-o", out]);
    return out;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Runs the kernels of every level that this processor has under sanitizers. */
function sanitize() {
  const cxx = compilerFor();
  if (!cxx) throw new Error(`native kernels need a C++ compiler, tried ${candidates.join(", ")}`);
  const scratch = mkdtempSync(join(tmpdir(), "tramontane-native-"));
  const run = (command, args) => {
    const { status, signal } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 1, 2] });
    if (status !== 0) throw new Error(`${command}: ${signal ?? `exit status ${status}`}`);
  };
  const flags = [
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-include",
    "sanitizer/asan_interface.h",
  ];
  const features = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "utf8") : "";
  try {
    for (const [level, own] of Object.entries(LEVELS[process.arch] ?? {})) {
      if (!features.includes(NEEDED[level])) continue;
      const program = join(scratch, level);
      run(cxx, [...FLAGS, ...own, ...flags, `-DLEVEL=${level}`, "cpp/native/sanitize.cpp", "-o", program]);
      run(program, []);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

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
