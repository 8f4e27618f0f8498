// The engine inside a user's own Worker, several engines in one process, and programs that forget to dispose of them.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Worker as Thread } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { demo, fixture, root } from "../fixtures.ts";
import type { Report, Task } from "./user_worker.ts";

const entry = new URL("./user_worker.js", import.meta.url);
const models = [demo, fixture("fixtures/hf/base"), fixture("fixtures/gguf/models/Q4_K_M.gguf")];
const task: Task = { models, input_ids: [1, 5, 6, 7], max_new_tokens: 12 };

/** What each model answers on the main thread, alone. */
const expected: number[][] = [];
for (const path of models) {
  await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 1 });
  const { input_ids, max_new_tokens } = task;
  expected.push((await model.generate({ input_ids, max_new_tokens })).tolist()[0]);
}

function inThread(): Promise<Report> {
  const worker = new Thread(entry);
  return new Promise<Report>((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}

function inWebWorker(): Promise<Report> {
  const worker = new Worker(entry, { type: "module" });
  return new Promise<Report>((resolve, reject) => {
    worker.addEventListener("message", (event) => resolve(event.data));
    worker.addEventListener("error", (event) => reject(new Error(event.message)));
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}

function check(report: Report): void {
  if ("error" in report) throw new Error(report.error);
  assert.equal(report.answers, expected);
  console.log(`# mapped: ${report.mapped}`);
}

test("three models in a user's thread", async () => {
  check(await inThread());
});

if (typeof Worker !== "undefined") {
  test("three models in a user's web Worker", async () => {
    check(await inWebWorker());
  });
}

test("engines in two threads and on the main thread, all at once", async () => {
  const { input_ids, max_new_tokens } = task;
  const own = async (path: string) => {
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    return (await model.generate({ input_ids, max_new_tokens })).tolist()[0];
  };
  const [a, b, ...here] = await Promise.all([inThread(), inThread(), ...[...models, ...models].map(own)]);
  check(a);
  check(b);
  assert.equal(here, [...expected, ...expected]);
});

/** Runs a program that loads the demo model; what it prints, its status, and the milliseconds from its last word to its end. */
async function program(code: string): Promise<{ stdout: string; stderr: string; status: number | null; idle: number }> {
  const folder = mkdtempSync(join(root, "dist", "program-")); // in the project: Deno finds packages from there
  try {
    const path = join(folder, "program.mjs");
    const index = new URL("../../src/index.js", import.meta.url).href;
    writeFileSync(
      path,
      `import { MixtralForCausalLM } from ${JSON.stringify(index)}; const demo = ${JSON.stringify(demo)}; ${code}`,
    );
    const child = spawn(process.execPath, [path], { timeout: 30_000 });
    let stdout = "";
    let stderr = "";
    let last = Date.now();
    child.stdout.on("data", (text) => {
      stdout += text;
      last = Date.now();
    });
    child.stderr.on("data", (text) => (stderr += text));
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { stdout, stderr, status, idle: Date.now() - last };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ask = "(await model.generate({ input_ids: [1, 5, 6, 7], max_new_tokens: 12 })).tolist()[0].join()";

test("a program that forgets dispose ends when it has nothing more to do", async () => {
  const { stdout, stderr, status, idle } = await program(
    `const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 3 }); console.log(${ask});`,
  );
  assert.equal([stdout, status], [`${expected[0].join()}\n`, 0], stderr);
  console.log(`# it ended ${idle} ms later`);
  assert.ok(idle < 5000);
});

test("a program that fails does not hang on its model", async () => {
  const { stderr, status } = await program(
    `const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 }); throw new Error("the program's own");`,
  );
  assert.is(status, 1);
  assert.match(stderr, "the program's own");
});

test("a pending call keeps the program alive, whoever awaits it", async () => {
  const { stdout, status } = await program(
    `MixtralForCausalLM.from_pretrained(demo, { threads: 2 }).then(async (model) => console.log(${ask}));`,
  );
  assert.equal([stdout, status], [`${expected[0].join()}\n`, 0]);
});

test.run();
