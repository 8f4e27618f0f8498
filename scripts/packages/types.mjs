// The types, in a fresh project of each compiler that is in use: as its own `tsc --init` has it, and by every way of finding
// modules. The examples and the pages' programs compile, and a library that is made of the package's types can declare them.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Compilers by what their users call them; npm has them under these names. */
export const compilers = {
  typescript5: "npm:typescript@5.9",
  typescript6: "npm:typescript@6",
  typescript7: "npm:typescript@7",
};

const typed = `import {
  AutoModelForCausalLM, AutoTokenizer, configure, EngineError, MixtralForCausalLM, type ModelInfo, pipeline, Tensor,
  TextStreamer,
} from "tramontane";

export async function program(path: string): Promise<string> {
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  await using model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2, mmap: "auto" });
  const inputs = tokenizer("My favourite condiment is");
  const ids: Tensor = await model.generate({ ...inputs, max_new_tokens: 4, streamer: new TextStreamer(tokenizer) });
  const info: ModelInfo = model.info();
  const { logits }: { logits: Tensor } = await model({ input_ids: [1, 2] });
  for await (const piece of model.stream({ ...inputs, tokenizer })) piece.toUpperCase();
  for await (const id of model.stream({ ...inputs })) id.toFixed();
  const generator = await pipeline("text-generation", path);
  // @ts-expect-error: there is no such option
  await AutoModelForCausalLM.from_pretrained(path, { thread: 2 });
  // @ts-expect-error: a number has no such method
  for await (const id of model.stream({ ...inputs })) id.toUpperCase();
  void [configure, EngineError, MixtralForCausalLM, generator, info, logits];
  return tokenizer.decode(ids[0], { skip_special_tokens: true });
}
`;

/** What a library may export: its types are inferred, and have to be named in its own declarations. */
const library = `import { AutoModelForCausalLM, AutoTokenizer, pipeline } from "tramontane";

const open = (path: string) => AutoTokenizer.from_pretrained(path);
export const encode = async (path: string, text: string) => (await open(path))(text);
export const stream = async (path: string) => (await open(path)).decode_stream();
export const calls = async (path: string) => (await open(path)).parse_tool_calls("Hi");
export const one = async (path: string) => (await open(path))("Hi", { return_tensor: false }).input_ids[0]?.toFixed();

/** Options of the library's own, which may be absent. */
export const load = (path: string, { threads, signal }: { threads?: number; signal?: AbortSignal } = {}) =>
  AutoModelForCausalLM.from_pretrained(path, { threads, signal, progress_callback: undefined });
export const profile = async (path: string) => (await load(path)).profile;
export const info = async (path: string) => (await load(path)).info();
export async function next(path: string) {
  const model = await load(path);
  const first = await model({ input_ids: [1], use_cache: true });
  const { past_key_values, logits } = await model({ input_ids: [2], past_key_values: first.past_key_values.fork() });
  await model({ input_ids: [3], past_key_values });
  return logits.slice(null, -1).argmax(-1);
}

/** One text has one answer at least, several have several. */
export async function texts(path: string) {
  const generator = await pipeline("text-generation", path);
  const [{ generated_text }] = await generator("Hi", { max_new_tokens: undefined });
  const [{ generated_text: chat }] = await generator([{ role: "user", content: "Hi" }]);
  const all = (await generator(["Hi", "Ho"])).map(([answer]) => answer.generated_text.length);
  return [generated_text.toUpperCase(), chat.at(-1)?.content.toUpperCase(), all] as const;
}
export async function labels(path: string) {
  const [{ label, score }] = await (await pipeline("text-classification", path))("Hi");
  return \`\${label} \${score.toFixed(2)}\`;
}
`;

/** The programs of the folder of examples and those in the pages, by name. */
function programs(root) {
  const examples = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts"));
  const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  const found = examples.map((name) => [name, readFileSync(join(root, "examples", name), "utf8")]);
  for (const page of ["README.md", ...docs.map((name) => `docs/${name}`)]) {
    const blocks = readFileSync(join(root, page), "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm);
    for (const [i, [, code]] of [...blocks].entries())
      found.push([`${page.replace(/\W/g, "_")}_${i + 1}.ts`, `${code}\nexport {};\n`]);
  }
  return found;
}

/** @param context - of packages.mjs: how it counts, runs and asks, and where its projects and tools are */
export function checkTypes({ check, run, must, project, tool, root }) {
  const all = { "typed.ts": typed, "library.ts": library, ...Object.fromEntries(programs(root)) };
  const folder = project("types", all, "@types/node@20");
  const of_node = Object.keys(all).filter((name) => /\bprocess\b|"node:/.test(all[name]));
  for (const compiler of Object.keys(compilers)) {
    const tsc = tool(compiler, "bin", "tsc");
    const version = run(folder, [...tsc, "--version"])
      .trim()
      .replace("Version", "TypeScript");
    /** Compiles with the file that the compiler itself begins projects with. */
    const compile = (files, changes) => {
      const path = join(folder, "tsconfig.json");
      rmSync(path, { force: true });
      run(folder, [...tsc, "--init"]);
      const config = readFileSync(path, "utf8").trimEnd();
      must(/"exactOptionalPropertyTypes": true/.test(config), `found another beginning of projects: ${config}`);
      writeFileSync(path, config.replace(/\}$/, `, "files": ${JSON.stringify(files)} }`));
      run(folder, [...tsc, "-p", ".", "--outDir", compiler, ...changes]);
      return `${files.length} programs`;
    };
    check(`${version}, tsc --init: every program that needs no types of Node's`, () =>
      compile(
        Object.keys(all).filter((name) => !of_node.includes(name)),
        [],
      ),
    );
    check(`${version}, tsc --init with those: every program, and the declarations themselves`, () =>
      compile(Object.keys(all), ["--types", "node", "--skipLibCheck", "false"]),
    );
    for (const [resolution, module] of [
      ["node16", "node16"],
      ["nodenext", "nodenext"],
      ["bundler", "esnext"],
    ])
      check(`${version}, moduleResolution ${resolution}`, () => {
        const flags = "--noEmit --strict --target es2022 --lib es2023,esnext.disposable,dom".split(" ");
        rmSync(join(folder, "tsconfig.json"), { force: true });
        run(folder, [...tsc, ...flags, "--module", module, "--moduleResolution", resolution, "typed.ts"]);
      });
  }
}
