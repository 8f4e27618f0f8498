// The declarations that users' editors and compilers read: every type that a public signature names is exported, every option
// says what it is and what holds without it, and nothing internal is in them.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GenerationConfig } from "../src/config/generation_config.ts";
import { root } from "./fixtures.ts";

const declarations = join(root, "dist", "src");
const read = (file: string) => readFileSync(file.replace(/\.ts$/, ".d.ts").replace(/\.d\.d\.ts$/, ".d.ts"), "utf8");

interface Declaration {
  readonly name: string;
  readonly text: string;
}

/** What of a file others may import, and where it comes from: `name` is that of the other file. */
interface File {
  readonly path: string;
  readonly declared: readonly Declaration[];
  readonly imported: ReadonlyMap<string, { path: string; name: string }>;
}

const files = new Map<string, File>();

function open(path: string): File {
  const known = files.get(path);
  if (known) return known;
  const text = read(path).replace(/\/\*[\s\S]*?\*\//g, "");
  const imported = new Map<string, { path: string; name: string }>();
  for (const [, names, from] of text.matchAll(/^(?:import|export)(?: type)? \{([^}]*)\} from "(\.[^"]+)";/gm))
    for (const entry of names.split(",").filter((each) => each.trim())) {
      const [name, alias = name] = entry
        .trim()
        .replace(/^type /, "")
        .split(" as ");
      imported.set(alias, { path: join(dirname(path), from), name });
    }
  // Everything at the first column begins a declaration.
  const declared = text
    .split(/^(?=\w)/m)
    .flatMap((part) =>
      [...part.matchAll(/^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|function|const) (\w+)/g)].map(
        ([, name]) => ({ name, text: part }),
      ),
    );
  const file = { path, declared, imported };
  files.set(path, file);
  return file;
}

const index = join(declarations, "index.ts");
/** `path name` of everything that is exported. */
const exported = new Set([...open(index).imported.values()].map(({ path, name }) => `${path} ${name}`));

test("every type that a public signature names is exported", () => {
  const missing = new Set<string>();
  for (const { path, name } of open(index).imported.values()) {
    const file = open(path);
    const texts = file.declared.filter((declaration) => declaration.name === name).map(({ text }) => text);
    assert.ok(texts.length > 0, `${path}: ${name}`);
    for (const word of new Set(texts.join("\n").match(/\b[A-Za-z]\w+\b/g))) {
      const from =
        file.imported.get(word) ?? (file.declared.some((d) => d.name === word) ? { path, name: word } : undefined);
      if (from && !exported.has(`${from.path} ${from.name}`))
        missing.add(`${from.name} of ${from.path.slice(declarations.length + 1)}, named by ${name}`);
    }
  }
  console.log(`# ${exported.size} names exported`);
  assert.equal([...missing], [], [...missing].join("\n"));
});

test("every exported name says what it is", () => {
  const silent = [...open(index).imported.values()].filter(({ path, name }) => {
    const before = "(/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/\\n)";
    return !new RegExp(
      `${before}export (?:declare )?(?:abstract )?(?:class|interface|type|function|const) ${name}\\b`,
    ).test(read(path));
  });
  assert.equal(
    silent.map(({ name }) => name),
    [],
  );
});

/** What nothing is done without: no default to tell. */
const absent = new Set([
  ...["signal", "progress_callback", "streamer", "token_callback_function", "stopping_criteria", "logits_processor"],
  ...["prefix_allowed_tokens_fn", "tokenizer", "assistant_model"],
  ...["input_ids", "inputs_embeds", "labels", "start_positions", "end_positions"],
]);

/** The optional properties of an interface, each with the comment before it. */
function properties(path: string, name: string): { name: string; doc: string; type: string }[] {
  const [, body = ""] =
    read(path).match(new RegExp(`^export interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, "m")) ?? [];
  const found = body.matchAll(/^ {4}(?:(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n {4})?(\w+)\?: ((?:[^;{]|\{[^}]*\})*);$/gm);
  return Array.from(found, ([, doc = "", property, type]) => ({ name: property, doc, type }));
}

const interfaces = [...open(index).imported.values()].filter(({ name }) => /(Options|Inputs|Locations)$/.test(name));

test("every option says what it is and what holds without it, and may be undefined", () => {
  const wrong: string[] = [];
  let count = 0;
  for (const { path, name } of interfaces)
    for (const { name: option, doc, type } of properties(path, name)) {
      count++;
      if (doc === "") wrong.push(`${name}.${option}: no doc`);
      else if (!absent.has(option) && !/@default \S/.test(doc)) wrong.push(`${name}.${option}: no @default`);
      // Under exactOptionalPropertyTypes, which tsc --init turns on.
      if (!/\| undefined$|^unknown$/.test(type)) wrong.push(`${name}.${option}: ${type} without undefined`);
    }
  console.log(`# ${count} options of ${interfaces.length} interfaces`);
  assert.ok(count > 100, `found ${count} options`);
  assert.equal(wrong, [], wrong.join("\n"));
});

test("the settings of generate say the defaults that they have", () => {
  const defaults = Object.entries(GenerationConfig.resolve());
  const path = join(declarations, "config", "generation_config.ts");
  const [, body] = read(path).match(/^export interface ResolvedGenerationConfig \{\n([\s\S]*?)^\}/m)!;
  const told = new Map(
    Array.from(
      body.matchAll(/@default (\S+)[\s\S]*?\*\/\n {4}(\w+): /g),
      ([, value, name]) => [name, value === "none" ? null : JSON.parse(value)] as const,
    ),
  );
  assert.equal([...told].sort(), defaults.sort());
});

test.run();
