// Files that were picked, in the place of a path: the same model and tokenizer as by the path, and what is wrong with a pick said.
import { openAsBlob, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, ConfigError, EngineError, InputError } from "../../src/errors.ts";
import { openPicked } from "../../src/hub/picked.ts";
import { AutoConfig, AutoTokenizer, MixtralForCausalLM, type ModelSource } from "../../src/index.ts";
import { failure } from "../contract/disk.ts";
import { repositoryContract } from "../contract/repository.ts";
import { demo, fixture } from "../fixtures.ts";
import { hashOf } from "../runtimes/logits.ts";

const base = fixture("fixtures/hf/base");
const gguf = fixture("fixtures/gguf/models/Q4_K_M.gguf");

const file = (path: string, name = path.slice(path.lastIndexOf("/") + 1)) => new File([readFileSync(path)], name);
const filesOf = (folder: string, wanted = /./) =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted.test(entry.name))
    .map((entry) => file(join(folder, entry.name)));

/** What a browser gives for a folder, as far as it is asked. */
const handle = (name: string, files: readonly File[]) => ({
  kind: "directory" as const,
  name,
  async *values() {
    yield { kind: "directory" as const, name: "inner" };
    for (const file of files) yield { kind: "file" as const, name: file.name, getFile: async () => file };
  },
});

repositoryContract("picked files", async (contents, file) =>
  openPicked(
    Object.entries(contents).map(([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], name)),
    "model",
    file,
  ),
);

async function hash(source: ModelSource, options = {}): Promise<string> {
  await using model = await MixtralForCausalLM.from_pretrained(source, { threads: 1, ...options });
  return await hashOf(model);
}

test("a folder's files, its handle and a list by its length give what the path gives", async () => {
  const expected = await hash(base);
  const files = filesOf(base);
  assert.is(await hash(files), expected);
  assert.is(await hash(handle("base", files)), expected);
  assert.is(await hash(Object.assign({ length: files.length }, files) as ArrayLike<File>), expected);
  const tokenizer = await AutoTokenizer.from_pretrained(filesOf(demo));
  assert.equal(tokenizer.encode("Hello world"), (await AutoTokenizer.from_pretrained(demo)).encode("Hello world"));
  assert.is(
    (await AutoConfig.from_pretrained(files)).hidden_size,
    (await AutoConfig.from_pretrained(base)).hidden_size,
  );
});

test("a GGUF alone, and one of several by its name or type", async () => {
  const expected = await hash(gguf);
  const picked = file(gguf, "tiny-Q4_K_M.gguf");
  assert.is(await hash(picked), expected);
  assert.is(await hash([picked]), expected);
  const others = [picked, new File(["x"], "tiny-Q4_0.gguf"), new File(["x"], "notes.txt")];
  assert.is(await hash(others, { file: "tiny-Q4_K_M.gguf" }), expected);
  assert.is(await hash(others, { file: "Q4_K_M" }), expected);
  await failure(() => hash(others), CheckpointError, /expected one GGUF, found 2 .*name the file/);
  await failure(() => hash(others, { file: "Q5_0" }), CheckpointError, /expected "?Q5_0"?, found these GGUF files/);
});

test("a Blob of a file on the disk is read in place", async () => {
  const blob = await openAsBlob(gguf);
  assert.is(await hash(Object.assign(blob, { name: "tiny.gguf" }) as unknown as File), await hash(gguf));
});

test("a folder that was picked with what is in its folders", async () => {
  const named = (path: string, bytes: string | Buffer) =>
    Object.defineProperty(new File([bytes as string], path.slice(path.lastIndexOf("/") + 1)), "webkitRelativePath", {
      value: path,
    });
  const files = readdirSync(base, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => named(`base/${name}`, readFileSync(join(base, name))));
  assert.is(await hash([...files, named("base/other/config.json", "{")]), await hash(base));
});

test("what is wrong with a pick is said", async () => {
  const wrong: [unknown, new (...args: never[]) => any, RegExp][] = [
    [[], CheckpointError, /the picked files: expected the files of a model, found none/],
    [handle("empty", []), CheckpointError, /empty: expected the files of a model, found none/],
    [
      [new File([""], "a.png"), new File([""], "b.txt")],
      CheckpointError,
      /expected a \.gguf file, or config\.json.*found a\.png, b\.txt/,
    ],
    [filesOf(base, /safetensors/), CheckpointError, /config\.json: .*config/],
    [
      new File(["{}"], "config.json"),
      CheckpointError,
      /config\.json: expected a folder with config\.json and model\.safetensors/,
    ],
    [
      [new File(["{}"], "config.json"), new File(["{}"], "tokenizer.json")],
      CheckpointError,
      /expected model\.safetensors, .* or a \.gguf file/,
    ],
    [new File(["x"], "photo.png"), CheckpointError, /photo\.png/],
    [new File(["GGUF"], "m-00001-of-00002.gguf"), CheckpointError, /m-00001-of-00002\.gguf/],
    [[new File([""], "a.gguf"), new File([""], "a.gguf")], InputError, /a\.gguf is there twice/],
    [[new File([""], "a.gguf"), "b.gguf"], InputError, /expected File objects/],
    [
      [file(join(base, "config.json")), new File(["x".repeat(64)], "model.safetensors")],
      CheckpointError,
      /model\.safetensors/,
    ],
    [[new File(["{"], "config.json"), new File([""], "model.safetensors")], CheckpointError, /config\.json/],
    [
      [new File(['{"model_type":"bert"}'], "config.json"), new File([""], "model.safetensors")],
      ConfigError,
      /config\.json/,
    ],
    [{ size: 1 }, InputError, /expected/],
  ];
  for (const [source, kind, words] of wrong) await failure(() => hash(source as ModelSource), kind, words);
});

test("of a split set all parts must be there, and of shards all that the index names", async () => {
  const parts = fixture("fixtures/gguf/forms/split");
  const all = filesOf(parts, /\.gguf$/);
  assert.ok(all.length > 1);
  assert.match(await hash(all), /^[0-9a-f]{64}$/);
  const missing = all.filter(({ name }) => !/00002-of/.test(name));
  await failure(() => hash(missing), CheckpointError, /00002-of-\d+\.gguf: missing; expected \d+ parts/);
  await failure(
    () => hash(all.find(({ name }) => /00001-of/.test(name))!),
    CheckpointError,
    /00002-of-\d+\.gguf: missing/,
  );
  const index = JSON.stringify({ weight_map: { "lm_head.weight": "model-00001-of-00001.safetensors" } });
  await failure(
    () => hash([file(join(base, "config.json")), new File([index], "model.safetensors.index.json")]),
    CheckpointError,
    /model-00001-of-00001\.safetensors: missing; model\.safetensors\.index\.json names it/,
  );
});

test("threads cannot read what was picked where Blobs cannot be waited for", async () => {
  await failure(
    () => hash(file(gguf, "tiny.gguf"), { memory_budget: 0.5 }),
    EngineError,
    /tiny\.gguf: .*pass its path/,
  );
});

test.run();
