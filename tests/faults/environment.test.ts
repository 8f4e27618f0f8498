// Runtimes that lack something: memory, addresses, FFI, shared memory, SIMD, cores. Each is a process of its own, which
// answers by a fallback that info() names, or says in one error what is missing. environment.ts is what it runs.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MemoryError, MixtralForCausalLM, type ModelInfo } from "../../src/index.ts";
import { demo } from "../fixtures.ts";
import { answer, expected } from "./answer.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "environment.js");
const { versions } = process;
const isDeno = "deno" in versions;
const isNode = !versions.bun && !isDeno;

interface Outcome {
  answer?: number[];
  info?: ModelInfo;
  error?: { name: string; code: string; message: string };
}

/** Runs environment.js with something taken away; `limits` is what a shell sets before. */
function run(lack: string, limits = "true", options: string[] = []): Outcome {
  const quoted = [process.execPath, ...(isDeno ? ["run", "-A"] : options), program, lack]
    .map((part) => `'${part}'`)
    .join(" ");
  const child = spawnSync("sh", ["-c", `${limits} && exec ${quoted}`], { encoding: "utf8", timeout: 60_000 });
  assert.is(child.status, 0, `${lack} ${limits}: ${child.stdout}${child.stderr} ${child.error ?? ""}`);
  return JSON.parse(child.stdout.trim().split("\n").at(-1)!);
}

test("nothing lacks: the program answers", () => {
  const { answer, info } = run("nothing");
  assert.equal(answer, expected);
  if (isNode) assert.is(info!.simd, "relaxed", "which every Node has");
});

test("no shared memory", () => {
  const { error } = run("shared");
  assert.is(error?.code, "MEMORY");
  assert.match(error!.message, /the runtime refused a memory/);
});

test("no relaxed SIMD: plain SIMD gives the same answer", () => {
  const { answer, info } = run("relaxed");
  assert.equal(answer, expected);
  assert.is(info!.simd, "plain");
});

test("no WebAssembly", () => {
  const { error } = run("wasm");
  assert.is(error?.code, "ENGINE");
  assert.match(error!.message, /no WebAssembly/);
  if (isNode) assert.is(run("nothing", "true", ["--jitless"]).error?.code, "ENGINE");
});

test("no SIMD at all", () => {
  const { error } = run("simd");
  assert.is(error?.code, "ENGINE");
  assert.match(error!.message, /no WebAssembly SIMD/);
});

if (isNode)
  test("no right to start threads", () => {
    const [major] = versions.node.split(".").map(Number);
    const { error } = run("nothing", "true", [
      major < 24 ? "--experimental-permission" : "--permission",
      "--allow-fs-read=*",
      ...(major < 22 ? [] : ["--allow-addons"]),
    ]);
    assert.is(error?.code, "ENGINE");
    assert.match(error!.message, /thread 0 of the team failed: Access to this API has been restricted/);
  });

if (isNode)
  test("no koffi: the weights are read, and the reason is told", () => {
    const hook = `export async function resolve(name, context, next) { if (name === "koffi") throw new Error("taken away"); return next(name, context); }`;
    const register = `import { register } from "node:module"; register("data:text/javascript,${encodeURIComponent(hook)}");`;
    const { answer, info } = run("nothing", "true", [
      "--import",
      `data:text/javascript,${encodeURIComponent(register)}`,
    ]);
    assert.equal(answer, expected);
    assert.is(info!.mapped, false);
    assert.match(info!.reason!, /koffi.*taken away/);
  });

if (process.platform === "linux") {
  test("one core", () => {
    if (spawnSync("taskset", ["-c", "0", "true"]).status !== 0) return void console.log("# there is no taskset here");
    const { answer, info } = run("nothing", "taskset -cp 0 $$ >/dev/null");
    assert.equal(answer, expected);
    assert.is(info!.threads, 1);
  });

  // Between the values that a runtime needs for itself it ends by a message of its own, which nothing here can prevent.
  const gibibytes = isNode ? [4, 12, 64] : versions.bun ? [4, 64] : [64];
  for (const limit of gibibytes)
    test(`an address space of ${limit} GiB`, () => {
      const { answer, error } = run("nothing", `ulimit -v ${limit * 2 ** 20}`);
      if (error) {
        assert.is(error.code, "MEMORY", JSON.stringify(error));
        assert.match(error.message, /refused a memory of \d+ bytes .*ulimit -v/);
        assert.ok(limit < 64);
      } else assert.equal(answer, expected);
      console.log(`# ${limit} GiB of addresses: ${error ? error.message.slice(0, 70) : "it answers"}`);
    });

  test("few open files", () => {
    // Node opens some 110 of the library's own files at once, before any of it runs.
    const { answer, error } = run("nothing", "ulimit -n 144");
    if (error) assert.ok(["CHECKPOINT", "ENGINE", "MEMORY"].includes(error.code), JSON.stringify(error));
    else assert.equal(answer, expected);
    console.log(`# 144 open files: ${error ? error.message.slice(0, 70) : "it answers"}`);
  });
}

test("the first, the second, … memory is refused: nothing is left behind, and the next load works", async () => {
  const { Memory } = WebAssembly;
  let met = 0;
  for (let refuse = 1; refuse < 8; refuse++) {
    let made = 0;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (++made === refuse) throw new RangeError("could not allocate memory");
        super(descriptor);
      }
    };
    try {
      // Small banks, so that there are several; of another size each time, so that none is used again.
      const bank_bytes = 6 * 2 ** 20 + refuse * 65536;
      const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, bank_bytes });
      const error = await answer(model).then(
        (ids) => void assert.equal(ids, expected),
        (error) => error,
      );
      if (error) {
        assert.instance(error, MemoryError, String(error));
        assert.match(error.message, /a cache of/);
        met++;
      }
      await model.dispose();
    } catch (error) {
      assert.instance(error, MemoryError, String(error));
      assert.ok((error as MemoryError).needed > 0);
      met++;
    } finally {
      WebAssembly.Memory = Memory;
    }
  }
  assert.ok(met >= 3, `${met} refusals met`);
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  assert.equal(await answer(model), expected);
  console.log(`# ${met} refused memories`);
});

test.run();
