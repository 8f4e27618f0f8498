// Programs of one file, moved to where nothing of the package is near and run with no configuration: bundles, Bun's and
// Deno's compiled programs, Node's single executables with and without koffi beside them.
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** What marks the place for a program in Node's binary. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/**
 * @param context - of packages.mjs: how it counts, runs, asks, and where its projects and tools are
 * @param programs - the source of a program that asks the model, as an ES module and as one that becomes CommonJS
 */
export function checkSingleFiles({ check, run, must, answers, plain, esbuild, tools, runtimes, scratch }, programs) {
  const alone = join(scratch, "alone");
  mkdirSync(alone);
  const suffix = process.platform === "win32" ? ".exe" : "";
  const koffi_beside = join(scratch, "with-koffi");
  mkdirSync(koffi_beside);
  for (const name of ["koffi", "@koromix"])
    cpSync(join(plain, "node_modules", name), join(koffi_beside, "node_modules", name), { recursive: true });

  writeFileSync(join(plain, "single.mjs"), programs.esm);
  writeFileSync(join(plain, "single-for-cjs.mjs"), programs.for_cjs);
  const flags = ["--external:koffi", "--log-override:empty-import-meta=silent"];
  esbuild(plain, "single.mjs", "--format=esm", ...flags, `--outfile=${join(alone, "bundle.mjs")}`);
  esbuild(plain, "single-for-cjs.mjs", "--format=cjs", ...flags, `--outfile=${join(alone, "bundle.cjs")}`);

  const { "node 22": _, "node 24": __, ...ends } = runtimes; // of Node the oldest and the newest
  for (const [name, { command, skipped }] of Object.entries(ends))
    for (const bundle of ["bundle.mjs", "bundle.cjs"])
      check(`a bundle of one file, ${bundle}, in ${name}`, () =>
        command ? answers(alone, [...command, bundle]) : `not checked: ${skipped}`,
      );

  check("bun build --compile", () => {
    const { command, skipped } = runtimes.bun;
    if (!command) return `not checked: ${skipped}`;
    const program = join(alone, `by-bun${suffix}`);
    run(plain, [...command, "build", "--compile", "single.mjs", "--outfile", program]);
    return answers(alone, [program], { mapped: process.platform !== "win32" });
  });

  for (const [name, source, folder] of [
    ["deno compile", "single.mjs", plain],
    ["deno compile, of a bundle", "bundle.mjs", alone],
  ])
    check(name, () => {
      const { command, skipped } = runtimes.deno;
      if (!command) return `not checked: ${skipped}`;
      const program = join(alone, `by-deno${suffix}`);
      try {
        run(folder, [command[0], "compile", "-A", "--no-check", "--output", program, source]);
      } catch (error) {
        // Deno gets the runtime that it puts into the program from a server of its own.
        if (/denort/.test(error.message)) return "not checked: the runtime for compiled programs cannot be downloaded";
        throw error;
      }
      return answers(alone, [program], { mapped: process.platform !== "win32" });
    });

  const executable = (name, build) =>
    check(`a single executable of ${name}`, () => {
      const { command, skipped } = runtimes[name];
      if (!command) return `not checked: ${skipped}`;
      const program = `sea-${name.replace(" ", "-")}${suffix}`;
      build(command[0], program);
      const remark = answers(alone, [join(alone, program)], { mapped: false });
      must(/koffi/.test(remark), `expected a reason that names koffi, found ${remark}`);
      copyFileSync(join(alone, program), join(koffi_beside, program));
      return answers(koffi_beside, [join(koffi_beside, program)], { mapped: process.platform !== "win32" });
    });

  const configuration = (name, fields) => {
    const path = join(alone, `${name}.json`);
    writeFileSync(path, JSON.stringify({ disableExperimentalSEAWarning: true, ...fields }));
    return path;
  };
  for (const name of ["node 20", "node 24"])
    executable(name, (node, program) => {
      run(alone, [node, "--experimental-sea-config", configuration("sea", { main: "bundle.cjs", output: "sea.blob" })]);
      copyFileSync(node, join(alone, program));
      const postject = join(tools, "node_modules", "postject", "dist", "cli.js");
      run(alone, [process.execPath, postject, program, "NODE_SEA_BLOB", "sea.blob", "--sentinel-fuse", FUSE]);
    });
  executable("node newest", (node, program) =>
    run(alone, [
      node,
      "--build-sea",
      configuration("sea-esm", { main: "bundle.mjs", mainFormat: "module", output: program }),
    ]),
  );
}
