// The tokenizers that the tests of this folder run on: one vocabulary from its three kinds of files, in both forms.
import { dirname, join } from "node:path";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";

const folder = dirname(fixture("tokenizers/mixtral/tokenizer.model"));
const load = async (file: string): Promise<Tokenizer> => loadTokenizer(await repositoryAt(join(folder, file)));

/** By the names that the fixtures use. */
export const forms = { legacy: await load("tokenizer.json"), metaspace_first: await load("tokenizer_metaspace.json") };

/** Three files that must give the same ids. */
export const sources: Record<string, Tokenizer> = {
  "tokenizer.json": forms.legacy,
  "tokenizer.model": await load("tokenizer.model"),
  "vocab.gguf": await load("vocab.gguf"),
};
