// Tokenizers on both sides: the engine reads their files and builds their tables, the page makes its own of these.

import type { Tokenizer } from "../text/tokenizer.ts";
import { makeTokenizer, type TokenizerData, tokenizerData } from "../text/tokenizer_data.ts";
import type { EngineClient } from "./client.ts";
import { numbersOf } from "./numbers.ts";
import type { Tagged } from "./wire.ts";

/** What the engine tells of a tokenizer that it has loaded. */
export interface ToldTokenizer {
  readonly id: number;
  readonly data: TokenizerData;
}

export const dataOf = ({ vocabulary, config }: Tokenizer): TokenizerData => tokenizerData(vocabulary, config);

/** A tokenizer of the page's, as the engine has it. */
export async function tokenizerFrom(client: EngineClient, { id, data }: ToldTokenizer): Promise<Tokenizer> {
  const tokenizer = await makeTokenizer(data);
  numbersOf(client).set(tokenizer, id);
  client.follow(tokenizer, id);
  return tokenizer;
}

/** What the engine knows it by, with what its user has changed; of one that it has not, all. */
export function encodeTokenizer(client: EngineClient, tokenizer: Tokenizer): Tagged {
  const known = numbersOf(client);
  const { settings } = tokenizer;
  const id = known.get(tokenizer);
  if (id !== undefined) return { $: "tokenizer", id, settings };
  const own = client.newId();
  known.set(tokenizer, own);
  client.follow(tokenizer, own);
  return { $: "tokenizer", id: own, settings, data: dataOf(tokenizer) };
}
