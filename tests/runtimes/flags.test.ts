// Programs that are started with options, as text or with something loaded before them: the model answers in each way, and
// the options are not for the team's threads.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { demo, root } from "../fixtures.ts";

const ask = { input_ids: [1, 5, 6, 7], max_new_tokens: 8 };
await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
const expected = (await model.generate(ask)).tolist()[0].join();

const from = JSON.stringify(new URL("../../src/index.js", import.meta.url).href);
const body = `
  const model = await MixtralForCausalLM.from_pretrained(${JSON.stringify(demo)}, { threads: 2 });
  console.log("answer", (await model.generate(${JSON.stringify(ask)})).tolist()[0].join());
  await model.dispose();`;
const program = `import { MixtralForCausalLM } from ${from};${body}`;
const script = `import(${from}).then(async ({ MixtralForCausalLM }) => {${body} });`;

// In the project: Deno finds packages from there.
const folder = mkdtempSync(join(root, "dist", "flags-"));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const main = file("main.mjs", program);
const before = file(
  "before.mjs",
  'import { isMainThread } from "node:worker_threads"; console.log("before", isMainThread);',
);
const before_cjs = file("before.cjs", 'console.log("before", require("node:worker_threads").isMainThread);');
const env = file(".env", "TRAMONTANE_TEST=1\n");

interface Run {
  readonly args: readonly string[];
  /** What goes to standard input. */
  readonly input?: string;
  readonly environment?: Record<string, string>;
  /** Whether something was to be loaded before the program, which says so. */
  readonly preloads?: boolean;
}

const [major] = process.versions.node.split(".").map(Number);

const node: readonly Run[] = [
  { args: ["--input-type=module", "-e", program] },
  { args: ["--input-type", "module", "--eval", program] },
  { args: ["--input-type=commonjs", "--eval", script] },
  { args: ["-e", script] },
  { args: ["-p", script] },
  { args: ["--input-type=module", "-"], input: program },
  { args: ["--import", before, main], preloads: true },
  { args: [`--import=${before}`, main], preloads: true },
  { args: ["--require", before_cjs, main], preloads: true },
  { args: ["-r", before_cjs, main], preloads: true },
  { args: [main], environment: { NODE_OPTIONS: `--import ${before}` }, preloads: true },
  { args: ["--env-file", env, main] },
  { args: [`--env-file=${env}`, main] },
  { args: ["--inspect=0", main] },
  { args: ["--test", main] },
  { args: ["--conditions", "development", "--preserve-symlinks", main] },
  { args: ["--expose-gc", "--max-old-space-size=300", "--stack-size=900", main] },
  { args: ["--enable-source-maps", "--no-warnings", "--trace-uncaught", "--title=mine", main] },
  { args: ["--disallow-code-generation-from-strings", "--frozen-intrinsics", main] },
  // A preload in a thread would need more permissions than the program has.
  ...(major < 24
    ? []
    : [{ args: ["--permission", "--allow-fs-read=*", "--allow-worker", "--allow-addons", main], preloads: false }]),
];

const deno: readonly Run[] = [
  { args: ["eval", program] },
  { args: ["eval", "--ext=js", script] },
  { args: ["run", "-A", "-"], input: program },
  { args: ["run", "-A", "--preload", before, main], preloads: true },
  { args: ["run", "-A", `--env-file=${env}`, main] },
  { args: ["run", "-A", "--inspect=127.0.0.1:0", main] },
  { args: ["run", "-A", "--v8-flags=--expose-gc,--max-old-space-size=300", main] },
  { args: ["run", "--allow-read", "--no-prompt", "--cached-only", main] },
];

const bun: readonly Run[] = [
  { args: ["-e", program] },
  { args: ["--eval", program] },
  { args: ["-"], input: program },
  { args: ["--preload", before, main], preloads: true },
  { args: [`--env-file=${env}`, "run", main] },
  { args: ["--inspect=127.0.0.1:0", main] },
  { args: ["--smol", main] },
  { args: ["--expose-gc", "--no-install", main] },
];

/** Runs a program until it ends. @returns all that it printed, and its status */
async function run({ args, input, environment }: Run, heard: (text: string) => void = () => {}) {
  // A program that --test runs, and what it starts, would speak the test runner's language.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...own } = process.env;
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...own, ...environment }, timeout: 60_000 });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      output += text;
      heard(output);
    });
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { output, status };
}

const runs = process.versions.bun ? bun : "deno" in process.versions ? deno : node;
for (const each of runs) {
  const { args, environment, preloads } = each;
  const shown = args.map((arg) => (arg === program || arg === script ? "PROGRAM" : arg.replace(folder, "")));
  test(`${JSON.stringify(environment ?? {})} ${shown.join(" ")}`, async () => {
    const { output, status } = await run(each);
    assert.is(status, 0, output);
    assert.match(output, `answer ${expected}`);
    assert.is(output.match(/before (true|false)/g)?.join(), preloads ? "before true" : undefined, output);
  });
}

if (runs === node && typeof WebSocket !== "undefined")
  test("--inspect-brk: the debugger starts the program, and no thread waits for one", async () => {
    let told = false;
    const { output, status } = await run({ args: ["--inspect-brk=0", main] }, (output) => {
      const [url] = /ws:\/\/\S+/.exec(output) ?? [];
      if (!url || told) return;
      told = true;
      const debugger_ = new WebSocket(url);
      const say = (id: number, method: string) => debugger_.send(JSON.stringify({ id, method }));
      debugger_.addEventListener("open", () => {
        say(1, "Runtime.enable");
        say(2, "Debugger.enable");
        say(3, "Runtime.runIfWaitingForDebugger");
      });
      debugger_.addEventListener("message", ({ data }) => {
        const { method } = JSON.parse(data);
        if (method === "Debugger.paused") say(4, "Debugger.resume");
        // The program waits for its debugger to go.
        if (method === "Runtime.executionContextDestroyed") debugger_.close();
      });
    });
    assert.is(status, 0, output);
    assert.match(output, `answer ${expected}`);
  });

test.after(() => rmSync(folder, { recursive: true }));

test.run();
