// What is open and what runs, counted exactly: descriptors and threads of this process, after loads that end well and after
// such that fail; and that a process that has nothing more to do ends.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoTokenizer,
  CheckpointError,
  MixtralForCausalLM,
} from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const isNode = !process.versions.bun && !("deno" in process.versions);
const maps = !("reason" in (await (await currentPlatform()).mapper()));

/** What is open of the folders that the tests load from; what a runtime keeps open for itself is elsewhere. */
function openFiles(): string[] {
  const places = [demo, folder, fixture("fixtures/gguf")].map((path) => realpathSync(path));
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return places.some((place) => target.startsWith(place)) ? [target] : [];
    } catch {
      return []; // the descriptor that read the folder
    }
  });
}
const threads = () => Number(/Threads:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);

if (process.platform === "linux") {
  test("a loaded model holds no file open, nor does a tokenizer or a config", async () => {
    for (const mmap of maps ? [true, false] : [false]) {
      await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 1, mmap });
      assert.equal(openFiles(), [], `mmap ${mmap}`);
      await model.generate({ input_ids: [1, 2], max_new_tokens: 1 });
    }
    await (await AutoModelForCausalLM.from_pretrained(demo, { threads: 1 })).dispose();
    await AutoTokenizer.from_pretrained(demo);
    await AutoConfig.from_pretrained(demo);
    await AutoConfig.from_pretrained(fixture("fixtures/gguf/forms/tiny-Q8_0.gguf"));
    assert.equal(openFiles(), []);
  });

  test("what is refused is closed: a folder, a pipe, a broken file, another class's checkpoint", async () => {
    const path = join(folder, "refused");
    mkdirSync(path);
    const pipe = join(folder, "pipe");
    spawnSync("mkfifo", [pipe]);
    const platform = await currentPlatform();
    for (const [name, pattern] of [
      [path, /found a folder/],
      [pipe, /found a pipe/],
    ] as const) {
      const error = await failure(platform.open(name));
      assert.instance(error, CheckpointError);
      assert.match(error.message, pattern);
    }
    for (const name of readdirSync(demo))
      if (name !== "model.safetensors") symlinkSync(join(demo, name), join(path, name));
    copyFileSync(join(demo, "model.safetensors"), join(path, "model.safetensors"));
    truncateSync(join(path, "model.safetensors"), 5000);
    assert.instance(await failure(MixtralForCausalLM.from_pretrained(path)), CheckpointError);
    assert.is((await AutoConfig.from_pretrained(path)).model_type, "mixtral", "which needs no weights");
    const { MixtralForSequenceClassification } = await import("../../src/index.ts");
    assert.instance(await failure(MixtralForSequenceClassification.from_pretrained(demo)), CheckpointError);
    assert.equal(openFiles(), []);
  });

  // Deno's own pool of threads for files comes and goes meanwhile.
  const counted = "deno" in process.versions ? test.skip : test;
  counted("dispose returns when the threads are gone, and so does a load that fails after they began", async () => {
    await (await MixtralForCausalLM.from_pretrained(demo, { threads: 2 })).dispose();
    const before = threads();
    const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 6 });
    assert.ok(threads() >= before + 6);
    await model.dispose();
    assert.ok(threads() <= before, `${threads()} threads, ${before} before`);

    const path = join(folder, "cut");
    mkdirSync(path);
    for (const name of readdirSync(demo))
      if (name !== "model.safetensors") symlinkSync(join(demo, name), join(path, name));
    const file = join(path, "model.safetensors");
    copyFileSync(join(demo, "model.safetensors"), file);
    let cut = 0;
    const progress_callback = ({ status }: { status: string }) => {
      if (status === "progress" && cut++ === 0) truncateSync(file, 4096);
    };
    const options = { threads: 6, mmap: false, progress_callback };
    const error = await failure(MixtralForCausalLM.from_pretrained(path, options));
    assert.instance(error, CheckpointError);
    assert.ok(cut > 0, error.message);
    assert.ok(threads() <= before, `${threads()} threads, ${before} before`);
  });
}

if (isNode)
  for (const [what, call] of [
    ["neither asks nor disposes of it", ""],
    ["has its answer", "await model.generate({ input_ids: [1, 2], max_new_tokens: 2 });"],
    ["keeps a cache", "globalThis.kept = await model({ input_ids: [1, 2] });"],
  ])
    for (const as of ["file", "text"])
      test(`a program (a ${as}) that loads a model and ${what} ends`, () => {
        const index = JSON.stringify(new URL("../../src/index.js", import.meta.url).href);
        const script = `
        import { MixtralForCausalLM } from ${index};
        const model = await MixtralForCausalLM.from_pretrained(${JSON.stringify(demo)}, { threads: 2 });
        ${call}
        console.log("done");`;
        const path = join(folder, "program.mjs");
        writeFileSync(path, script);
        const program = as === "file" ? [path] : ["--input-type=module", "--eval", script];
        const child = spawnSync(process.execPath, program, { encoding: "utf8", timeout: 30_000 });
        assert.equal([child.stdout, child.stderr, child.status], ["done\n", "", 0]);
      });

test.run();
