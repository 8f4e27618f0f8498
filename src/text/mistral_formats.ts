// The versions of Mistral's format of conversations, what each does otherwise than the one before, and how a tokenizer's is
// known.
// Source: mistral-common 1.13, instruct.py.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface Format {
  readonly version: string;
  /** Where system messages go: in front of the first or last user message, or where they are, between tokens of their own. */
  readonly system: "first user" | "last user" | "own";
  /** Calls as one JSON list; each by its name, its id and its arguments; the same without the id. None where there are no tools. */
  readonly calls: "list" | "named" | "named, no id" | undefined;
  /** The user message that tools stand before. */
  readonly tools: "first" | "last";
  /** What a result is: JSON in a list, with the name of the tool; JSON with the id; the id and a text; a text. */
  readonly result: "list" | "object" | "id and text" | "text";
  /** What ids of calls must be: nothing, nine letters and digits, or there. */
  readonly call_ids: "none" | "nine" | "any";
  /** Whether results that are JSON are written anew. */
  readonly results_as_json: boolean;
  /** Whether results are put in the order of their calls, by their ids. */
  readonly order_results: boolean;
  /** Whether one message may have both. */
  readonly calls_and_content: boolean;
  readonly thinking: boolean;
}

const V1: Format = {
  version: "v1",
  system: "first user",
  calls: undefined,
  tools: "last",
  result: "list",
  call_ids: "none",
  results_as_json: true,
  order_results: false,
  calls_and_content: false,
  thinking: false,
};
const V2: Format = { ...V1, version: "v2", system: "last user", calls: "list" };
const V3: Format = { ...V2, version: "v3", result: "object", call_ids: "nine" };
const V7: Format = {
  ...V3,
  version: "v7",
  system: "own",
  result: "id and text",
  results_as_json: false,
  calls_and_content: true,
};
const V11: Format = { ...V7, version: "v11", calls: "named", order_results: true };
const V13: Format = {
  ...V11,
  version: "v13",
  calls: "named, no id",
  tools: "first",
  result: "text",
  call_ids: "any",
  thinking: true,
};
const FORMATS = [V1, V2, V3, V7, V11, V13];

/**
 * @param version - as the caller or a file names it
 * @throws {@link InputError} when it is none that is known here
 */
export function formatOf(version: string): Format {
  const format = FORMATS.find((each) => each.version === version);
  if (format) return format;
  throw new InputError(
    `version: expected one of ${FORMATS.map((each) => each.version).join(", ")}, found ${show(version)}`,
  );
}

/**
 * The version that a file tells, or that the vocabulary's control tokens show.
 * @param has - whether a text is a control token
 * @throws {@link InputError} when several versions have these tokens
 */
export function versionOf({ version, decoder, source }: Vocabulary, has: (token: string) => boolean): string {
  const found = version ?? (decoder === "ByteLevel" ? tekkenVersion(has) : pieceVersion(has));
  if (found !== undefined) return found;
  throw new InputError(`${source}: does not tell which version of Mistral's format it is for; pass version, e.g. "v3"`);
}

/** v3's own tokenizer.json has no tokens of later versions; but those made of a tekken.json have. */
const tekkenVersion = (has: (token: string) => boolean): string | undefined =>
  has("[INST]") && !has("[SYSTEM_PROMPT]") ? "v3" : undefined;

const pieceVersion = (has: (token: string) => boolean): string =>
  !has("[INST]") ? "v1" : !has("[PREFIX]") ? "v2" : !has("[SYSTEM_PROMPT]") ? "v3" : "v7";
