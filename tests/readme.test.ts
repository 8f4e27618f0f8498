// The examples of README.md and docs/, of examples/, and those of the docstrings, compiled against the package's own types and run
// from the project's root. A README block in ```ts followed by one in ```text must print just that.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "./fixtures.ts";

interface Example {
  readonly name: string;
  readonly code: string;
  /** What it prints, where that is known. */
  readonly prints?: string;
}

const read = (name: string) => readFileSync(join(root, name), "utf8");

/** The ```ts and ```js blocks of a page. */
function blocks(page: string): Example[] {
  const fences = [...read(page).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, body]) => ({
    language,
    body,
  }));
  return fences.flatMap(({ language, body }, i) => {
    if (language !== "ts" && language !== "js") return [];
    const next = fences[i + 1];
    return [{ name: `${page} block ${i + 1}`, code: body, prints: next?.language === "text" ? next.body : undefined }];
  });
}

/** What docstring examples take for granted. */
const given: Record<string, string> = {
  tokenizer: 'const tokenizer = await AutoTokenizer.from_pretrained("models/demo");',
  model: 'const model = await MixtralForCausalLM.from_pretrained("models/demo");',
  ids: "const ids = [1, 20, 300];",
  sink: "const sink = { async write(_bytes: Uint8Array) {} };",
};

/** What stands for a module of this name, or beside one, in a page. */
const ofPage = (source: string) => /^src\/(?:web\/|platform\/browser)/.test(source);

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .sort() // runtimes list folders in orders of their own
  .map((name) => ({ name: `src/${name.replaceAll("\\", "/")}`, text: read(`src/${name}`) }));

/** For each name that src/ exports, the statement that imports it: what is another thing in a page is meant as it is elsewhere. */
const exported = new Map<string, string>();
for (const { name: source, text } of [...sources].sort((a, b) => Number(ofPage(a.name)) - Number(ofPage(b.name)))) {
  // The chat page is a program of its own.
  if (source.startsWith("src/web/chat/")) continue;
  const from = `"../../dist/${source.replace(/\.ts$/, ".js")}"`;
  for (const [, kind, name] of text.matchAll(
    /^export (?:async |abstract )*(function|const|class|type|interface) (\w+)/gm,
  )) {
    const type = kind === "type" || kind === "interface";
    // A class and an interface of one name are imported together.
    if (exported.has(name) && (type || ofPage(source))) continue;
    exported.set(name, `import ${type ? "type " : ""}{ ${name} } from ${from};`);
  }
}

/** The @example of each docstring in src/, behind what it takes for granted. */
function docstrings(): Example[] {
  return sources.flatMap(({ name: source, text }) =>
    [...text.matchAll(/\* @example([\s\S]*?)(?=^ *\* @|^ *\* Source:|^ *\*\/)/gm)].map(([, lines], i) => {
      const code = lines.replace(/^ *\* ?/gm, "").trim();
      const declares = (name: string) => new RegExp(`\\b(?:const|let) ${name}\\b`).test(code);
      const uses = (within: string, name: string) => new RegExp(`(?<![.\\w])${name}\\b`).test(within);
      const before = Object.keys(given).filter((name) => uses(code, name) && !declares(name));
      const whole = [...before.map((name) => given[name]), asserting(code)].join("\n");
      const imports = [...exported.keys()].filter((name) => uses(whole, name) && !declares(name));
      return {
        name: `${source} example ${i + 1}`,
        code: [...imports.map((name) => exported.get(name)), whole].join("\n"),
      };
    }),
  );
}

/** A line `expression // 16` says what the expression is: it becomes one that throws where that is not so. */
function asserting(code: string): string {
  return code.replace(
    /^(?!\s*(?:const|let|for|import)\b)(.+?);? \/\/ (-?\d+(?:\.\d+)?|".*"|\[.*\])$/gm,
    (_, expression, value) =>
      `if (JSON.stringify(${expression}) !== JSON.stringify(${value})) throw new Error(${JSON.stringify(expression)});`,
  );
}

const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name.replaceAll("\\", "/")}`);
const pages = ["README.md", "CONTRIBUTING.md", ...docs];
const programs = readdirSync(join(root, "examples"))
  .filter((name) => name.endsWith(".ts"))
  .map((name): Example => ({ name: `examples/${name}`, code: read(`examples/${name}`) }));
const examples = [
  ...pages.filter((page) => existsSync(join(root, page))).flatMap(blocks),
  ...programs,
  ...docstrings(),
];

// In the package's own folder, where `tramontane` is the package itself.
const folder = join(root, "build", "examples");
const fileOf = (example: Example, extension: string) =>
  join(folder, `${example.name.replace(/\W+/g, "_")}.${extension}`);

test("the examples compile", () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // As strict as `tsc --init` makes it; scripts/packages.mjs takes its very file.
  const strict = { noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
  const compilerOptions = { rootDir: folder, outDir: folder, declaration: false, noUnusedLocals: false, ...strict };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, include: ["*.ts"], exclude: [] }),
  );
  for (const example of examples) writeFileSync(fileOf(example, "ts"), `${example.code}\nexport {};\n`);
  const compiler = join(root, "node_modules", ".bin", "tsc");
  const { status, stdout } = spawnSync(compiler, ["-p", folder], { encoding: "utf8" });
  assert.is(status, 0, `the examples do not compile:\n${stdout}`);
  console.log(`# ${examples.length} examples compiled`);
});

test("there are examples", () => {
  assert.ok(examples.filter(({ name }) => name.startsWith("README")).length >= 4);
  assert.ok(examples.filter(({ name }) => name.startsWith("src/")).length >= 8);
  for (const guide of [
    "quickstart",
    "choosing",
    "chat",
    "templates",
    "generation",
    "memory",
    "coming-from",
    "troubleshooting",
  ])
    assert.ok(
      examples.some(({ name }) => name.startsWith(`docs/${guide}.md`)),
      `none in ${guide}`,
    );
  assert.ok(programs.length >= 8);
});

/** What was printed; but for quotes, commas and line ends, of which other runtimes make others where they show an object. */
const shown = (printed: string): string =>
  process.versions["bun"] || process.versions["deno"]
    ? printed
        .replace(/["']/g, "'")
        .replace(/,?\s+(?=[}\]])/g, " ")
        .replace(/\s+/g, " ")
        .trim()
    : printed.trim();

for (const example of examples) {
  test(example.name, () => {
    const printed = execFileSync(process.execPath, [fileOf(example, "js")], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    });
    if (example.prints !== undefined) assert.is(shown(printed), shown(example.prints));
  });
}

test.run();
