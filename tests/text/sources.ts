// The tokenizers that the tests of this folder run on: one vocabulary from its three kinds of files, in both forms.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";

const folder = dirname(fixture("tokenizers/mixtral/tokenizer.model"));
/** @param file - of the folder. The copies have a second form without its model, which is that of the first */
export async function load(file: string): Promise<Tokenizer> {
  const repository = await repositoryAt(join(folder, file));
  if (!file.endsWith(".json")) return loadTokenizer(repository);
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
  const form = json(file);
  if (typeof form.model === "string") form.model = json(form.model).model;
  const bytes = new TextEncoder().encode(JSON.stringify(form));
  return loadTokenizer({
    ...repository,
    read: async (name, limit) => (name === file ? bytes : repository.read(name, limit)),
  });
}

/** By the names that the fixtures use. */
export const forms = { legacy: await load("tokenizer.json"), metaspace_first: await load("tokenizer_metaspace.json") };

/** Three files that must give the same ids. */
export const sources: Record<string, Tokenizer> = {
  "tokenizer.json": forms.legacy,
  "tokenizer.model": await load("tokenizer.model"),
  "vocab.gguf": await load("vocab.gguf"),
};
