// Repositories: their contract, what openRepository tells apart, and that a pipeline reads no file twice.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { memoryRepository, openRepository } from "../../src/checkpoint/repository.ts";
import { CheckpointError, InputError, TokenizerError } from "../../src/errors.ts";
import { loadPipeline } from "../../src/pipelines/load.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { Files } from "../../src/platform/platform.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { failure } from "../contract/disk.ts";
import { repositoryContract } from "../contract/repository.ts";
import { demo, fixture } from "../fixtures.ts";
import { counted, memoryFiles, repositoryAt } from "../repositories.ts";

const temporary = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(temporary, { recursive: true, force: true }));

function folderOf(contents: Readonly<Record<string, Uint8Array>>): string {
  const folder = mkdtempSync(join(temporary, "folder-"));
  for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(folder, name), bytes);
  return folder;
}

repositoryContract("on disk", async (contents, file) => repositoryAt(join(folderOf(contents), file ?? ".")));
repositoryContract("in memory", async (contents, file) => memoryRepository("some files", contents, file));

test("a path is called as it was given", async () => {
  const folder = folderOf({ "m.gguf": new Uint8Array(4), "tokenizer.json": new Uint8Array(4) });
  const odd = `${folder}/../${folder.split(/[/\\]/).at(-1)}/`;
  assert.is((await repositoryAt(odd)).name, odd);
  const { name, where } = await repositoryAt(`${odd}m.gguf`);
  assert.equal([name, where("m.gguf")], [`${odd}m.gguf`, `${odd}m.gguf`]);
  assert.is(where("tokenizer.json"), join(folder, "tokenizer.json"));
});

test("a file of the working folder has its neighbours there", async () => {
  const before = process.cwd();
  process.chdir(folderOf({ "m.gguf": new Uint8Array(4), "tokenizer.json": new Uint8Array(5) }));
  try {
    const repository = await repositoryAt("m.gguf");
    assert.is((await repository.list()).length, 2);
    assert.is((await repository.read("tokenizer.json", 5)).length, 5);
  } finally {
    process.chdir(before);
  }
});

test("what cannot be opened is listed, and opening it says why", async () => {
  const folder = folderOf({ file: new Uint8Array(3) });
  mkdirSync(join(folder, "inner"));
  if (process.platform !== "win32") {
    symlinkSync("nowhere", join(folder, "lost"));
    symlinkSync("loop", join(folder, "loop"));
  }
  const repository = await repositoryAt(folder);
  for (const { name, size } of await repository.list()) {
    if (name === "file") assert.is(size, 3);
    else
      await failure(
        () => repository.open(name),
        CheckpointError,
        /(inner|lost|loop): (cannot be opened|expected a file)/,
      );
  }
});

test("what is neither folder nor file is refused by what it seems to be", async () => {
  const files = await currentPlatform();
  const open = (source: unknown) => openRepository(files, source as string);
  for (const url of ["hf://owner/name", "hf:owner/name", "s3://x/y", "blob:https://x.y/1", "data:,"])
    await failure(
      () => open(url),
      InputError,
      /expected a path, owner\/name of a hub, or an https:, http: or file: URL/,
    );
  for (const path of ["owner/name", "none", "/none/none", "./none", "no/such/model", "c:\\none"])
    await failure(() => open(path), CheckpointError, /expected a checkpoint's folder or a \.gguf file, found nothing$/);
  for (const wrong of [undefined, null, "", 7, {}])
    await failure(() => open(wrong), InputError, /expected the path of a checkpoint's folder or file, found/);
});

const gguf = new Uint8Array(readFileSync(fixture("fixtures/gguf/forms/tiny-Q8_0.gguf")));

test("one GGUF needs nothing of its folder, which may be closed to this program", async () => {
  const real = await currentPlatform();
  const path = join(folderOf({ "m.gguf": gguf, "a-00001-of-00001.gguf": gguf }), "m.gguf");
  const closed = (of: string) => Promise.reject(new Error(`${of} was looked at`));
  const only: Files = { ...real, list: closed, stat: (of) => (of === path ? real.stat(of) : closed(of)) };
  await (await openCheckpoint(await openRepository(only, path))).close();
  await loadTokenizer(await openRepository(only, path));
});

test("a folder is listed once, for the model and the tokenizer", async () => {
  const real = await currentPlatform();
  let lists = 0;
  const files: Files = { ...real, list: (folder) => real.list(folder).finally(() => lists++) };
  const repository = await openRepository(files, demo);
  await (await openCheckpoint(repository)).close();
  await loadTokenizer(repository);
  assert.is(lists, 1);
});

test("a split set's tokenizer is in its first part, whichever is named", async () => {
  const repository = await repositoryAt(join(fixture("fixtures/gguf/forms/split"), "tiny-00003-of-00003.gguf"));
  assert.ok((await loadTokenizer(repository)).vocab_size > 0);
});

test("a pipeline reads a GGUF's header once, for the model and the tokenizer", async () => {
  for (const file of ["m.gguf", undefined]) {
    const repository = counted(memoryFiles({ "m.gguf": gguf }));
    await (await loadPipeline("text-generation", { ...repository, file }, { threads: 1 })).dispose();
    assert.equal([repository.counts.opened, repository.counts.closed], [1, 1]);
  }
});

test("a pipeline that cannot be had leaves nothing open", async () => {
  const { counts, ...repository } = memoryFiles({ "m.gguf": gguf, "tokenizer.json": "{}" });
  await failure(() => loadPipeline("text-generation", repository, { threads: 1 }), TokenizerError, /tokenizer\.json/);
  assert.equal([counts.opened, counts.closed], [1, 1]);
});

test.run();
