// The page's own objects that the engine has counterparts of: tokenizers, and criteria of the library.
import {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
} from "../generation/stopping.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import type { EngineClient } from "./client.ts";
import { numbersOf } from "./numbers.ts";
import { encodeTokenizer } from "./tokenizers.ts";
import type { Tagged } from "./wire.ts";

/** Whether it is a criterion that the engine makes again, so that it need not be asked with each token. */
export const isMadeAgain = (value: unknown): boolean =>
  [MaxLengthCriteria, MaxTimeCriteria, EosTokenCriteria, InterruptableStoppingCriteria].some(
    (known) => (value as object | null | undefined)?.constructor === known,
  );

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

/** Told of each interruption as it comes, so that the engine need not ask with each token. */
function encodeInterruptable(client: EngineClient, criterion: InterruptableStoppingCriteria): Tagged {
  const known = numbersOf(client);
  let id = known.get(criterion);
  if (id === undefined) {
    id = client.newId();
    known.set(criterion, id);
    client.follow(criterion, id);
    const number = id;
    criterion.listeners.add((interrupted) => client.tell(number, interrupted));
  }
  return { $: "interruptable", id, interrupted: criterion.interrupted };
}
