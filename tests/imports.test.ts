// The order of the layers: a file of src/ imports only from lines above its own, or from its own folder; what belongs to a
// runtime stays in platform/, cli/ and web/; nothing that bits depend on comes from Math.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "./fixtures.ts";

/** From the ground up. kernels/ stands before memory/: it knows the ABI's types and sizes, by which memory is laid out. */
const layers = [
  "errors.ts",
  "config",
  "abort.ts",
  "arguments.ts",
  "callbacks.ts",
  "callable.ts",
  "inspected.ts",
  "tensor_operations.ts",
  "tensor.ts",
  "platform",
  "quant",
  "checkpoint",
  "hub",
  "weights",
  "kernels",
  "offload",
  "adapters",
  "memory",
  "threads",
  "paging",
  "convert",
  "model",
  "text",
  "quantize",
  "folders",
  "generation",
  "pipelines",
  "index.ts",
  "cli",
  "server",
  "web",
];

/** Which layer, or which folder of one, may import which package. */
const packages: Record<string, string> = {
  koffi: "platform",
  "bun:ffi": "platform",
  "@noble/hashes/legacy.js": "platform",
  "@noble/hashes/sha2.js": "platform",
  "@huggingface/jinja": "text",
  commander: "cli",
  preact: "web/chat",
  "preact/hooks": "web/chat",
  "@preact/signals": "web/chat",
  marked: "web/chat",
};

const allows = (place: string | undefined, name: string): boolean =>
  place !== undefined && name.startsWith(`${place}/`);

interface Source {
  readonly name: string;
  readonly layer: string;
  /** The text without comments. */
  readonly code: string;
  readonly imports: readonly string[];
}

const src = join(root, "src");
const sources: Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => {
    const code = readFileSync(join(src, name), "utf8").replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "");
    const imports = [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]);
    return { name, layer: name.split("/")[0], code, imports };
  });

const list = (lines: readonly string[]) => assert.equal(lines, [], lines.join("\n"));

test("every file is in a known layer", () => {
  assert.ok(sources.length > 50, `found ${sources.length} files`);
  list(sources.filter(({ layer }) => !layers.includes(layer)).map(({ name }) => name));
});

test("imports go up the list", () => {
  const wrong: string[] = [];
  let checked = 0;
  for (const { name, layer, imports } of sources) {
    for (const target of imports.filter((path) => path.startsWith("."))) {
      const to = posix.join(dirname(name), target).split("/")[0];
      checked++;
      if (!layers.includes(to) || layers.indexOf(to) > layers.indexOf(layer)) wrong.push(`${name} imports ${target}`);
    }
  }
  console.log(`# ${checked} imports between ${sources.length} files`);
  list(wrong);
});

test("packages are imported where they belong, and relative imports name .ts files", () => {
  const wrong: string[] = [];
  for (const { name, layer, imports } of sources) {
    for (const target of imports) {
      if (target.startsWith(".")) {
        if (!/\.tsx?$/.test(target)) wrong.push(`${name} imports ${target}`);
      } else if (target.startsWith("node:") ? layer !== "platform" && layer !== "cli" : !allows(packages[target], name))
        wrong.push(`${name} imports ${target}`);
    }
  }
  list(wrong);
});

test("runtime globals are used in platform/, cli/ and web/ alone", () => {
  // `window` is not among them: it is the model's own word.
  const globals =
    /(?<![.\w$#])(?:(?:process|Buffer|Deno|Bun|self|navigator|document)\s*(?:\?\.|[.[])|__dirname|require\()/g;
  list(
    sources
      .filter(({ layer }) => !["platform", "cli", "web"].includes(layer))
      .flatMap(({ name, code }) =>
        [...code.replace(/"[^"\n]*"/g, '""').matchAll(globals)].map(([use]) => `${name}: ${use}`),
      ),
  );
});

test("bits depend on no function that engines compute differently", () => {
  // sqrt, round, abs and their like are exact everywhere; these are approximations.
  const inexact = /\bMath\.(?:exp|expm1|log|log2|log10|log1p|a?sinh?|a?cosh?|a?tanh?|atan2|pow|cbrt|hypot)\b/g;
  const computing = ["weights", "adapters", "memory", "kernels", "threads", "model", "generation", "pipelines"];
  list(
    sources
      .filter(({ layer }) => computing.includes(layer))
      .flatMap(({ name, code }) => [...code.matchAll(inexact)].map(([use]) => `${name}: ${use}`)),
  );
  // Draws come from the documented generator in assembly/draw.ts.
  list(sources.filter(({ code }) => /\bMath\.random\b/.test(code)).map(({ name }) => name));
});

test.run();
