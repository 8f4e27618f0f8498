// What every Repository must do, as a function that each implementation's test calls.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { CheckpointError } from "../../src/errors.ts";
import { failure, pattern } from "./disk.ts";

/** @param make - a repository of these files, the second of them the one that is meant where `file` names it */
export function repositoryContract(
  kind: string,
  make: (contents: Readonly<Record<string, Uint8Array>>, file?: string) => Promise<Repository>,
): void {
  const contents = { "config.json": pattern(20), "b.gguf": pattern(700), "a.gguf": pattern(0) };

  test(`${kind}: files are listed by name with their sizes, opened, read whole`, async () => {
    const repository = await make(contents);
    assert.is(repository.file, undefined);
    assert.equal(await repository.list(), [
      { name: "a.gguf", size: 0 },
      { name: "b.gguf", size: 700 },
      { name: "config.json", size: 20 },
    ]);
    const file = await repository.open("b.gguf");
    assert.is(file.size, 700);
    const part = new Uint8Array(9);
    await file.read(300, part);
    assert.equal(part, contents["b.gguf"].slice(300, 309));
    await failure(() => file.read(695, new Uint8Array(9)), CheckpointError, /b\.gguf: expected 9 bytes at.* after 5/);
    await file.close();
    await file.close();
    assert.equal(await repository.read("config.json", 20), contents["config.json"]);
  });

  test(`${kind}: failures name the file as \`where\` does`, async () => {
    const repository = await make(contents);
    for (const name of ["none", "toString"])
      await failure(() => repository.open(name), CheckpointError, repository.where(name));
    await failure(() => repository.read("none", 9), CheckpointError, repository.where("none"));
    await failure(
      () => repository.read("config.json", 19),
      CheckpointError,
      `${repository.where("config.json")}: expected at most 19 bytes, found 20`,
    );
    const file = await repository.open("b.gguf");
    assert.is(file.path, repository.where("b.gguf"));
    await file.close();
  });

  test(`${kind}: one file is meant, and the others stand beside it`, async () => {
    const repository = await make(contents, "b.gguf");
    assert.is(repository.file, "b.gguf");
    assert.equal(
      (await repository.list()).map(({ name }) => name),
      ["a.gguf", "b.gguf", "config.json"],
    );
    assert.equal(await repository.read("b.gguf", 700), contents["b.gguf"]);
    assert.equal(await repository.read("config.json", 700), contents["config.json"]);
  });
}
