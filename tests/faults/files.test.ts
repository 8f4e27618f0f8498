// What stands at a path beside good files: pipes, devices, folders, links, nothing. And files that change under the engine.
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoTokenizer,
  CheckpointError,
  MixtralForCausalLM,
  type ProgressInfo,
  TramontaneError,
  WriteError,
} from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { answer, expected } from "./answer.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const mapper = await (await currentPlatform()).mapper();
const maps = !("reason" in mapper);
const unix = process.platform !== "win32";

/** A folder that is the demo model by links, but for one file. */
function demoWithout(name: string, file: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const other of readdirSync(demo)) if (other !== file) symlinkSync(join(demo, other), join(path, other));
  return path;
}

/** The demo model with weights of its own, for a test to spoil. */
function demoWithOwnWeights(name: string): string {
  const path = demoWithout(name, "model.safetensors");
  copyFileSync(join(demo, "model.safetensors"), join(path, "model.safetensors"));
  return path;
}

/** Refused by an error of this library, at once. */
async function refused(call: () => Promise<unknown>, pattern: RegExp, what: string): Promise<void> {
  const start = performance.now();
  const error = await failure(call());
  assert.instance(error, TramontaneError, `${what}: ${error.stack}`);
  assert.match(error.message, pattern, what);
  assert.ok(performance.now() - start < 2000, `${what}: took ${performance.now() - start} ms`);
}

const loads = (path: string) => MixtralForCausalLM.from_pretrained(path, { threads: 1 });

if (unix) {
  test("a pipe, a device, a folder, a dangling link and a link to itself in a file's place", async () => {
    const kinds: [string, (path: string) => void, RegExp][] = [
      ["pipe", (path) => void spawnSync("mkfifo", [path]), /expected a file, found a pipe/],
      ["device", (path) => symlinkSync("/dev/zero", path), /expected a file, found a device/],
      ["folder", (path) => mkdirSync(path), /expected a file, found a folder|cannot be opened|found nothing|no config/],
      ["dangling", (path) => symlinkSync(join(folder, "nothing"), path), /missing|found nothing|cannot be opened/],
      ["loop", (path) => symlinkSync(path, path), /ELOOP|symbolic links|missing|found nothing|cannot be opened/],
      ["empty", (path) => writeFileSync(path, ""), /expected|found/],
    ];
    let count = 0;
    for (const [kind, make, pattern] of kinds) {
      for (const file of ["model.safetensors", "config.json", "generation_config.json"]) {
        const path = demoWithout(`${kind}-${file}`, file);
        make(join(path, file));
        await refused(() => loads(path), pattern, `${kind} for ${file}`);
        count++;
      }
      for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
        const path = demoWithout(`${kind}-${file}`, file);
        make(join(path, file));
        await refused(() => AutoTokenizer.from_pretrained(path), pattern, `${kind} for ${file}`);
        count++;
      }
      const gguf = join(folder, `${kind}.gguf`);
      make(gguf);
      await refused(() => loads(gguf), /./, `${kind} for a GGUF`);
      await refused(() => AutoTokenizer.from_pretrained(gguf), /./, `${kind} for a GGUF's tokenizer`);
      count += 2;
    }
    console.log(`# ${count} files of other kinds refused`);
  });

  test("links to good files are followed, as hub caches have them", async () => {
    const path = demoWithout("links", "README.md");
    await using model = await loads(path);
    assert.equal(await answer(model), expected);
  });
}

if (!unix || process.getuid?.() === 0) console.log("# no file can be made unreadable for this user");
else
  test("a file without permission to read is named", async () => {
    const path = demoWithOwnWeights("unreadable");
    chmodSync(join(path, "model.safetensors"), 0);
    await refused(() => loads(path), /model\.safetensors.*cannot be opened/, "unreadable");
  });

// A model on a copy, its weights touched already by an answer; `spoil` changes the file, and the next look is due.
const changes: [string, (file: string) => void, boolean][] = [
  ["cut to nothing", (file) => truncateSync(file, 0), true],
  ["cut in the middle", (file) => truncateSync(file, 1_000_000), true],
  ["written to", (file) => appendFileSync(file, "x"), true],
  ["touched", (file) => utimesSync(file, new Date(), new Date(0)), true],
  [
    "replaced by another",
    (file) => {
      writeFileSync(`${file}.new`, "something else");
      renameSync(`${file}.new`, file);
    },
    false,
  ],
  ["removed", (file) => rmSync(file), false],
];
for (const [what, spoil, matters] of changes) {
  test(`a model's file is ${what} while it is loaded`, async () => {
    const path = demoWithOwnWeights(what.replaceAll(" ", "-"));
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    assert.equal(await answer(model), expected);
    spoil(join(path, "model.safetensors"));
    await new Promise((resolve) => setTimeout(resolve, 250));
    if (matters && maps) {
      for (let i = 0; i < 2; i++) {
        const error = await failure(answer(model));
        assert.instance(error, CheckpointError);
        assert.match(error.message, /model\.safetensors: the file was changed while the model was using it/);
      }
    } else assert.equal(await answer(model), expected, "what is mapped or read stays");
    assert.is(model.info().cache_bytes, 0);
  });
}

const while_loaded: [string, (file: string) => void, RegExp][] = [
  [
    "written to",
    (file) => {
      const open = openSync(file, "r+");
      writeSync(open, "x", statSync(file).size - 1);
      closeSync(open);
    },
    /changed while it was being loaded/,
  ],
  [
    "replaced",
    (file) => {
      copyFileSync(join(demo, "model.safetensors"), `${file}.new`);
      renameSync(`${file}.new`, file);
    },
    /replaced while it was being loaded/,
  ],
];
for (const [what, change, message] of while_loaded)
  test(`a file is ${what} while it is loaded`, async () => {
    for (const mmap of maps ? [true, false] : [false]) {
      const path = demoWithOwnWeights(`loading-${what.replace(" ", "-")}-${mmap}`);
      const file = join(path, "model.safetensors");
      utimesSync(file, new Date(0), new Date(0));
      // At the last read.
      let changed = false;
      const progress_callback = ({ status, loaded, total }: ProgressInfo) => {
        if (status !== "progress" || loaded !== total || changed) return;
        changed = true;
        change(file);
      };
      await refused(
        () => MixtralForCausalLM.from_pretrained(path, { threads: 1, mmap, progress_callback }),
        message,
        `mmap ${mmap}`,
      );
      assert.ok(changed);
    }
  });

test("a file is cut while it is loaded: where it ends is told, or that it was changed", async () => {
  for (const mmap of maps ? [true, false] : [false]) {
    const path = demoWithOwnWeights(`loading-cut-${mmap}`);
    const file = join(path, "model.safetensors");
    let changed = false;
    const progress_callback = ({ status }: ProgressInfo) => {
      if (status === "progress" && !changed) truncateSync(file, 1_000_000);
      changed ||= status === "progress";
    };
    await refused(
      () => MixtralForCausalLM.from_pretrained(path, { threads: 1, mmap, progress_callback }),
      mmap ? /found the end of the file|changed while it was being loaded/ : /found the end of the file/,
      `mmap ${mmap}`,
    );
    assert.ok(changed);
  }
});

test("a cache cannot be saved to a full disk, a folder that is not there, a folder", async () => {
  await using model = await loads(demo);
  const { past_key_values } = await model({ input_ids: [1, 2, 3] });
  const cache = past_key_values!;
  const good = join(folder, "cache");
  await cache.save(good);
  const bytes = readFileSync(good);
  const places = [join(folder, "nowhere", "cache"), folder, ...(unix ? ["/dev/full"] : [])];
  for (const place of places) {
    const error = await failure(cache.save(place));
    assert.instance(error, WriteError, `${place}: ${error.stack}`);
    assert.match(error.message, /cannot be written/);
  }
  assert.equal(readFileSync(good), bytes);
  assert.equal(
    readdirSync(folder).filter((name) => name.endsWith(".part")),
    [],
  );
  cache.dispose();
});

test("a cache cannot be saved to a small disk; the older file stays", async () => {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  const mounted = unix && spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]).status === 0;
  if (!mounted) return void console.log("# no small disk could be mounted here");
  try {
    await using model = await loads(demo);
    const cache = (await model({ input_ids: [1, 2, 3] })).past_key_values!;
    await cache.save(join(disk, "cache"));
    const bytes = readFileSync(join(disk, "cache"));
    const long = await model({ input_ids: Array.from({ length: 600 }, (_, i) => i % 100), past_key_values: cache });
    const error = await failure(long.past_key_values!.save(join(disk, "cache")));
    assert.instance(error, WriteError);
    assert.match(error.message, /cannot be written.*(ENOSPC|space)/i);
    assert.equal(readFileSync(join(disk, "cache")), bytes);
    assert.equal(readdirSync(disk), ["cache"]);
    spawnSync("mount", ["-o", "remount,ro", disk]);
    assert.match((await failure(cache.save(join(disk, "cache")))).message, /cannot be written/);
    cache.dispose();
  } finally {
    spawnSync("umount", [disk]);
  }
});
test("files are left open by nothing that fails", async () => {
  if (process.platform !== "linux") return;
  const open = () => readdirSync("/proc/self/fd").length;
  const path = demoWithOwnWeights("spoiled");
  truncateSync(join(path, "model.safetensors"), 5000);
  await failure(loads(path));
  const before = open();
  for (let i = 0; i < 20; i++) assert.instance(await failure(loads(path)), CheckpointError);
  assert.ok(open() <= before + 2, `${before} files were open, ${open()} are`);
});

test.run();
