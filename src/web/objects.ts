// The page's own objects that the engine has counterparts of: tokenizers, and criteria of the library.
import {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
} from "../generation/stopping.ts";
import { makeTokenizer } from "../text/load_tokenizer.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import type { TokenizerData } from "../text/tokenizer_data.ts";
import type { EngineClient } from "./client.ts";
import type { Tagged } from "./wire.ts";

/** By an engine, its numbers of what the page has. */
const numbers = new WeakMap<EngineClient, WeakMap<object, number>>();

function numbersOf(client: EngineClient): WeakMap<object, number> {
  let known = numbers.get(client);
  if (!known) numbers.set(client, (known = new WeakMap()));
  return known;
}

/** What the engine tells of a tokenizer that it has loaded. */
export interface ToldTokenizer {
  readonly id: number;
  readonly data: TokenizerData;
}

/** A tokenizer of the page's, as the engine has it. */
export async function tokenizerFrom(client: EngineClient, { id, data }: ToldTokenizer): Promise<Tokenizer> {
  const tokenizer = await makeTokenizer(data);
  numbersOf(client).set(tokenizer, id);
  client.follow(tokenizer, id);
  return tokenizer;
}

/** What the engine makes its counterpart of. */
export function encodeObject(client: EngineClient, value: object): Tagged | undefined {
  if (value instanceof Tokenizer) return encodeTokenizer(client, value);
  if (value instanceof InterruptableStoppingCriteria) return encodeInterruptable(client, value);
  if (value.constructor === MaxLengthCriteria)
    return { $: "max_length", max_length: (value as MaxLengthCriteria).max_length };
  // Workers count their time from another moment.
  if (value.constructor === MaxTimeCriteria) return { $: "max_time", seconds: (value as MaxTimeCriteria).left };
  if (value.constructor === EosTokenCriteria) return { $: "eos", ids: [...(value as EosTokenCriteria).eos_token_id] };
  return undefined;
}

function encodeTokenizer(client: EngineClient, tokenizer: Tokenizer): Tagged {
  const known = numbersOf(client);
  const { settings } = tokenizer;
  const id = known.get(tokenizer);
  if (id !== undefined) return { $: "tokenizer", id, settings };
  const own = client.newId();
  known.set(tokenizer, own);
  client.follow(tokenizer, own);
  return { $: "tokenizer", id: own, settings, data: tokenizer.data };
}

/** Told of each interruption as it comes, so that the engine need not ask with each token. */
function encodeInterruptable(client: EngineClient, criterion: InterruptableStoppingCriteria): Tagged {
  const known = numbersOf(client);
  let id = known.get(criterion);
  if (id === undefined) {
    id = client.newId();
    known.set(criterion, id);
    client.follow(criterion, id);
    const number = id;
    criterion.listen(() => client.tell(number, criterion.interrupted));
  }
  return { $: "interruptable", id, interrupted: criterion.interrupted };
}
