// npm run build [kernels] [convert] [assembly] [ts] [web]: the parts named, or all of them.
//   kernels   cpp/*.cpp → wasm/kernels-simd.wasm, wasm/kernels-relaxed.wasm (Emscripten, LLVM 19 or newer)
//   convert   cpp/convert/*.cpp → wasm/convert.wasm (the same compiler)
//   assembly  assembly/index.ts → wasm/logits.wasm (AssemblyScript)
//   ts        src, tests, bench → dist/ (JavaScript and .d.ts), and wasm/ → dist/wasm and, packed, into the code
//   web       dist/src/web → dist/web, bundled for browsers; the types of the chat page are checked
// wasm/manifest.json records the hash of the sources, the compilers and the features of each binary;
// `npm run build check` rebuilds the binaries and fails when the committed ones differ, `sources` compares the hashes alone.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeNativeSources } from "./native.mjs";
import { hashSources } from "./sources.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, "node_modules", ".bin", name);

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options });
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(" ")}: exit status ${result.status ?? result.error}`);
}

const sha256 = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

// ---- Emscripten ------------------------------------------------------------------------------------------------

/**
 * Finds em++ and the wasm-ld that belongs to it. A current emsdk works as it is. Debian's Emscripten uses LLVM 14,
 * which lacks the final relaxed-SIMD opcodes: it is pointed at Debian's clang-19 and lld-19 by a configuration file.
 */
function findEmscripten(scratch) {
  const env = { ...process.env };
  const which = (name) => spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
  if (!which("em++")) return null;
  const debian = existsSync("/usr/share/emscripten/emcc.py") && !process.env.EMSDK;
  if (debian) {
    if (!existsSync("/usr/bin/clang-19") || !existsSync("/usr/bin/wasm-ld-19")) return null;
    const config = join(scratch, "emscripten.cfg");
    const settings = {
      LLVM_ROOT: "/usr/bin",
      LLVM_ADD_VERSION: "19",
      CLANG_ADD_VERSION: "19",
      EMSCRIPTEN_ROOT: "/usr/share/emscripten",
      BINARYEN_ROOT: "/usr",
      NODE_JS: process.execPath,
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key}='${value}'`);
    writeFileSync(config, [...lines, "FROZEN_CACHE=True", ""].join("\n"));
    env.EM_CONFIG = config;
    return { env, linker: "/usr/bin/wasm-ld-19", clang: "/usr/bin/clang-19" };
  }
  const folder = env.EMSDK ? join(env.EMSDK, "upstream", "bin") : dirname(which("wasm-ld"));
  return { env, linker: join(folder, "wasm-ld"), clang: join(folder, "clang") };
}

/** The kernels' exports: three for each format of cpp/formats.def, and the names in cpp/exports.txt. */
function exportedNames() {
  const text = (name) => readFileSync(join(root, "cpp", name), "utf8");
  const formats = [...text("formats.def").matchAll(/^(?:FLOAT|BLOCK|ROW)_FORMAT\((\w+)/gm)];
  const products = formats.flatMap(([, name]) => [`matvec_${name}`, `matmul_${name}`, `dequantize_${name}`]);
  const others = text("exports.txt").split("\n");
  return [...products, ...others.map((line) => line.replace(/#.*/, "").trim()).filter(Boolean)];
}

const compileFlags =
  "-std=c++20 -O3 -fno-exceptions -fno-rtti -fno-math-errno -ffp-contract=off -pthread -msimd128 -Wall -Wextra -Werror -mllvm -disable-lsr";
const builds = { simd: [], relaxed: ["-mrelaxed-simd", "-DTRAMONTANE_RELAXED=1"] };
const features = ["simd128", "threads", "bulk-memory"];

/** Calls `build` with the compiler and a folder for what it leaves. */
function withCompiler(build) {
  const scratch = mkdtempSync(join(tmpdir(), "tramontane-build-"));
  try {
    const tools = findEmscripten(scratch);
    if (!tools) throw new Error("building the kernels needs Emscripten with LLVM 19 or newer: see CONTRIBUTING.md");
    return { ...build(tools, scratch), compiler: version(tools), flags: compileFlags };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const version = ({ clang }) => execFileSync(clang, ["--version"], { encoding: "utf8" }).split("\n")[0];

/** Compiles the .cpp files of a folder and links them, without JavaScript or a runtime, to `out`. */
function buildModule({ env, linker }, scratch, folder, flags, { base, memory }, exported, out) {
  // The kernels' tables first: they are looked for where data begins.
  const objects = readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".cpp"))
    .sort((a, b) => Number(b === "tables.cpp") - Number(a === "tables.cpp") || (a < b ? -1 : 1))
    .map((source) => {
      const object = join(scratch, `${source}.o`);
      run("em++", [...compileFlags.split(" "), ...flags, "-c", join(folder, source), "-o", object], { env });
      return object;
    });
  const linked = join(scratch, "linked.wasm");
  run(linker, [
    "--no-entry",
    `--global-base=${base}`,
    "--import-memory",
    "--shared-memory",
    `--initial-memory=${memory}`,
    "--max-memory=4294967296",
    "-z",
    "stack-size=65536",
    "--strip-all",
    "--gc-sections",
    ...exported.map((name) => `--export=${name}`),
    ...objects,
    "-o",
    linked,
  ]);
  // V8 and JavaScriptCore optimize again; wasm-opt is for size and for what clang leaves behind. It must not inline what
  // has one caller: SEPARATE of cpp/simd.h says why.
  const optimize = [
    "-O2",
    "--one-caller-inline-max-function-size=0",
    "--enable-simd",
    "--enable-threads",
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-reference-types",
    ...(flags.includes("-mrelaxed-simd") ? ["--enable-relaxed-simd"] : []),
  ];
  run(bin("wasm-opt"), [...optimize, linked, "-o", out]);
}

/**
 * Where data begins, and bytes that a memory has at least. Of kernels: behind the logits module's bytes, as cpp/tables.h and
 * src/kernels/abi.ts know and tests/kernels/data.test.ts looks. Encoders stand beside kernels on one memory, above all that these keep there.
 */
const places = { kernels: { base: 1024, memory: 1 << 20 }, convert: { base: 1 << 20, memory: 8 << 20 } };

const buildKernels = (target) =>
  withCompiler((tools, scratch) => {
    for (const [name, flags] of Object.entries(builds))
      buildModule(
        tools,
        scratch,
        "cpp",
        flags,
        places.kernels,
        [...exportedNames(), "__stack_pointer"],
        join(target, `kernels-${name}.wasm`),
      );
    return { features: { simd: features, relaxed: [...features, "relaxed-simd"] } };
  });

/** Exports name themselves: EXPORT of cpp/convert/convert.h. */
const buildConvert = (target) =>
  withCompiler((tools, scratch) => {
    buildModule(tools, scratch, "cpp/convert", [], places.convert, ["__heap_base"], join(target, "convert.wasm"));
    return { features };
  });

// ---- AssemblyScript --------------------------------------------------------------------------------------------

function buildAssembly(target) {
  run(bin("asc"), ["assembly/index.ts", "--config", "asconfig.json", "--outFile", join(target, "logits.wasm")]);
  const version = JSON.parse(
    readFileSync(join(root, "node_modules", "assemblyscript", "package.json"), "utf8"),
  ).version;
  return { compiler: `assemblyscript ${version}`, features: ["simd128", "threads"] };
}

// ---- the parts -------------------------------------------------------------------------------------------------

const manifestPath = join(root, "wasm", "manifest.json");
const outputs = {
  kernels: ["kernels-simd.wasm", "kernels-relaxed.wasm"],
  convert: ["convert.wasm"],
  assembly: ["logits.wasm"],
};
const sources = {
  kernels: [["cpp", [".cpp", ".h", ".def", ".txt"]]],
  convert: [
    ["cpp", [".h", ".def"]],
    ["cpp/convert", [".cpp", ".h"]],
  ],
  assembly: [["assembly", [".ts"]]],
};
const builders = { kernels: buildKernels, convert: buildConvert, assembly: buildAssembly };

function buildBinaries(part, target) {
  const entry = { sources: hashSources(...sources[part]), ...builders[part](target) };
  entry.binaries = Object.fromEntries(outputs[part].map((name) => [name, sha256(join(target, name))]));
  return entry;
}

async function buildTypeScript() {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  run(bin("tsc"), ["-p", "tsconfig.json"], { shell: process.platform === "win32" });
  mkdirSync(join(root, "dist", "wasm"), { recursive: true });
  for (const name of readdirSync(join(root, "wasm")))
    cpSync(join(root, "wasm", name), join(root, "dist", "wasm", name));
  const { embed } = await import("./embed.mjs");
  await embed(join(root, "dist"));
  writeFileSync(join(root, "dist", ".built"), "");
}

async function buildWeb() {
  // The chat page is bundled from its sources (npm run web).
  run(bin("tsc"), ["-p", "src/web/chat"], { shell: process.platform === "win32" });
  const web = await import("./bundle-web.mjs");
  await web.buildWeb(join(root, "dist"));
}

/** @param rebuild - whether the binaries are built again and compared, too */
function check(rebuild) {
  const manifest = JSON.parse(readFileSync(manifestPath, "utf8"));
  const target = mkdtempSync(join(tmpdir(), "tramontane-check-"));
  const wrong = [];
  for (const part of Object.keys(builders)) {
    if (hashSources(...sources[part]) !== manifest[part].sources)
      wrong.push(`${part}: sources changed since wasm/ was built`);
    const fresh = rebuild ? buildBinaries(part, target) : {};
    for (const [name, hash] of Object.entries(manifest[part].binaries)) {
      if (sha256(join(root, "wasm", name)) !== hash) wrong.push(`wasm/${name}: not the binary that the manifest names`);
      if (fresh.compiler === manifest[part].compiler && fresh.binaries[name] !== hash)
        wrong.push(`wasm/${name}: differs from a fresh build`);
    }
  }
  rmSync(target, { recursive: true, force: true });
  for (const line of wrong) console.error(line);
  if (wrong.length) throw new Error("source and binary disagree: run npm run build and commit wasm/");
  if (rebuild) console.error("wasm/: source and binaries agree");
}

const parts = process.argv.slice(2);
try {
  if (parts.includes("check")) check(true);
  else if (parts.includes("sources")) check(false);
  else {
    mkdirSync(join(root, "wasm"), { recursive: true });
    const wanted = parts.length ? parts : [...Object.keys(builders), "ts", "web"];
    const manifest = existsSync(manifestPath) ? JSON.parse(readFileSync(manifestPath, "utf8")) : {};
    for (const part of wanted.filter((p) => !["ts", "web"].includes(p))) {
      if (!builders[part])
        throw new Error(
          `unknown part ${part}: expected ${Object.keys(builders).join(", ")}, ts, web, check or sources`,
        );
      manifest[part] = buildBinaries(part, join(root, "wasm"));
      writeFileSync(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
      if (part === "kernels") writeNativeSources();
    }
    if (wanted.includes("ts")) await buildTypeScript();
    if (wanted.includes("web")) await buildWeb();
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
