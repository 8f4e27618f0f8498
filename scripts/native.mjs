// npm run build:native: cpp/ for this machine's own vector units → native/<system>-<arch>.so, by the C++ compiler that CXX
// names, else Clang or GCC. Once for each level of vector units (cpp/native/library.cpp chooses when it is loaded).
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os, { tmpdir } from "node:os";
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

/** Calls `work` with what runs the compiler, each level's name and flags, a folder for what it leaves, and its name. */
async function withCompiler(work) {
  const cxx = compilerFor();
  if (!cxx) throw new Error(`native kernels need a C++ compiler, tried ${candidates.join(", ")}`);
  const levels = Object.entries(LEVELS[process.arch] ?? {});
  if (levels.length === 0) throw new Error(`there are no native kernels for ${process.arch}`);
  const scratch = mkdtempSync(join(tmpdir(), "tramontane-native-"));
  try {
    return await work((args) => run(cxx, args), levels, scratch, cxx);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @returns what it has printed */
async function run(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", 2] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  const ended = await new Promise((resolve) => {
    child.on("error", ({ message }) => resolve(message));
    child.on("close", (code, signal) => resolve(signal ?? (code === 0 ? undefined : `exit status ${code}`)));
  });
  if (ended) throw new Error(`${command} ${args.join(" ")}: ${ended}`);
  return output;
}

/** As many at once as there are cores, in order. @throws the first failure, when all that were begun have ended */
async function inParallel(list, work) {
  const left = [...list];
  const failures = [];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined && failures.length === 0; item = left.shift())
      await work(item).catch((error) => failures.push(error));
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
  if (failures.length > 0) throw failures[0];
}

/** @returns the library's path */
export const buildNative = (out = join(root, "native", `${process.platform}-${process.arch}.so`)) =>
  withCompiler(async (compile, levels, scratch) => {
    const object = (name) => join(scratch, `${name}.o`);
    const sources = levels.map(([level, own]) => [level, ...own, `-DLEVEL=${level}`, "-c", "cpp/native/level.cpp"]);
    sources.push(["library", `-DSOURCES=${nativeSources()}u`, "-c", "cpp/native/library.cpp"]);
    await inParallel(sources, ([name, ...args]) => compile([...FLAGS, ...args, "-o", object(name)]));
    mkdirSync(dirname(out), { recursive: true });
    // Of no C library: memcpy and memset are those of the process, whether glibc's or musl's.
    await compile(["-shared", "-nostdlib", ...sources.map(([name]) => object(name)), "-lgcc", "-o", out]);
    return out;
  });

/** Another machine, emulated: by Debian's qemu-user, libstdc++-12-dev-arm64-cross and binutils-aarch64-linux-gnu, and Clang. */
const EMULATED = { level: "neon", arch: "arm64", target: "aarch64-linux-gnu", emulator: "qemu-aarch64" };
const emulates = (cxx) =>
  process.arch !== EMULATED.arch &&
  cxx.includes("clang") &&
  existsSync(`/usr/${EMULATED.target}/include`) &&
  [EMULATED.emulator, `${EMULATED.target}-ld`].every(
    (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0,
  );

/**
 * Runs the kernels of every level that this processor has under sanitizers, and those of NEON in an emulator: all compute the
 * same.
 */
const sanitize = () =>
  withCompiler(async (compile, levels, scratch, cxx) => {
    const sanitizers = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    const features = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "utf8") : "";
    const runs = levels
      .filter(([level]) => features.includes(NEEDED[level]))
      .map(([level, own]) => ({ level, flags: [...own, ...sanitizers], command: [] }));
    const { level, arch, target, emulator } = EMULATED;
    if (emulates(cxx))
      runs.push({ level, flags: [...LEVELS[arch][level], `--target=${target}`, "-static"], command: [emulator] });
    if (runs.length === 0) throw new Error("there is no level whose kernels this machine could run");
    const digests = new Map();
    // The slowest to compile first.
    await inParallel(runs.reverse(), async ({ level, flags, command }) => {
      const program = join(scratch, level);
      await compile([...FLAGS, ...flags, `-DLEVEL=${level}`, "cpp/native/sanitize.cpp", "-o", program]);
      const [first, ...rest] = [...command, program];
      digests.set(level, await run(first, rest));
    });
    const lines = [...digests].map(([level, text]) => [level, text.trimEnd().split("\n")]);
    const [[name, expected], ...others] = lines;
    for (const [level, found] of others) {
      const differs = expected.findIndex((line, i) => line !== found[i]);
      if (differs >= 0) throw new Error(`${level} computes ${found[differs]}, ${name} ${expected[differs]}`);
    }
    console.error(`${expected.length} kernels compute the same in ${lines.map(([level]) => level).join(", ")}`);
  });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv[2] === "sanitize") await sanitize();
    else {
      writeNativeSources();
      console.error(await buildNative());
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
