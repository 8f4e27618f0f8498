// Tokenizers on both sides: the engine reads their files and builds their tables, the page makes its own of these.
import { EngineError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { EngineClient } from "./client.ts";
import type { Tagged } from "./wire.ts";

/** What the engine tells of a tokenizer that it has loaded. */
export interface ToldTokenizer {
  readonly id: number;
  readonly data: unknown;
}

/** A tokenizer of the page's, as the engine has it. */
export async function tokenizerFrom(_client: EngineClient, _told: ToldTokenizer): Promise<Tokenizer> {
  throw new EngineError("not yet");
}

export function encodeTokenizer(_client: EngineClient, _tokenizer: Tokenizer): Tagged {
  throw new EngineError("not yet");
}
